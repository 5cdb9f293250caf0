//! All resources of one configuration, encoded and versioned.
//!
//! Duty: what an Envoy may be sent, by type and name; routes and filters also as they must be while an Envoy moves from what it had, or
//! lacks a cluster that it refused.
//! Invariant: a version is a hash of the resource's content, so the same content has the same version after a restart and on every
//! replica, and an Envoy that has it is not sent it again.
//! Leaves to others: who is sent what, and when (`session`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::google::protobuf::Any;
use lasso_routing::catalog::CatalogSpec;
use lasso_routing::time::Millis;
use serde_json::{Value, json};

use super::encode::Schema;
use super::resources::listener::{Parts, listener};
use super::resources::{HUB, NAME, Site, clusters, filters, routes, type_url};
use crate::compile::names::{IDENTITY_DIGITS, Identity};
use crate::compile::{Deployment, digest, without};
use crate::config::Config;

/// The types that are served, in the order in which an Envoy must learn of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResourceType {
    Clusters,
    Routes,
    Filters,
    Listeners,
}

impl ResourceType {
    pub(crate) const ALL: [Self; 4] = [Self::Clusters, Self::Routes, Self::Filters, Self::Listeners];

    pub(crate) fn type_url(self) -> String {
        type_url(self.message())
    }

    pub(crate) fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// Name in events, metrics and views.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Routes => "routes",
            Self::Filters => "filters",
            Self::Listeners => "listeners",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Clusters => "envoy.config.cluster.v3.Cluster",
            Self::Routes => "envoy.config.route.v3.RouteConfiguration",
            Self::Filters => "envoy.config.core.v3.TypedExtensionConfig",
            Self::Listeners => "envoy.config.listener.v3.Listener",
        }
    }
}

/// One resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resource {
    pub(crate) version: String,
    pub(crate) content: Any,
}

/// Resources of one type by name.
pub(crate) type Named = BTreeMap<String, Arc<Resource>>;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Of the whole catalog.
    pub(crate) generation: String,
    /// The longest that a request under this catalog tries providers.
    pub(crate) deadline: Millis,
    resources: BTreeMap<ResourceType, Named>,
    schema: Schema,
    deployment: Arc<Deployment>,
    site: Site,
}

impl Snapshot {
    pub(crate) fn new(config: &Config, deployment: &Arc<Deployment>, site: &Site) -> anyhow::Result<Self> {
        let schema = Schema::load()?;
        let mut resources = BTreeMap::<_, Named>::new();
        let mut add = |kind: ResourceType, name: &str, resource| {
            resources.entry(kind).or_default().insert(name.to_owned(), Arc::new(resource));
        };
        for plan in &deployment.clusters {
            let json = clusters::cluster(plan, site);
            let resource = encoded(&schema, ResourceType::Clusters, &json)?;
            add(ResourceType::Clusters, &plan.name, marked(resource, &plan.identity.0));
        }
        // Its name stands for the same always, wherever it listens.
        let hub = encoded(&schema, ResourceType::Clusters, &clusters::hub(config.listen_hub))?;
        add(ResourceType::Clusters, HUB, marked(hub, &digest(HUB.as_bytes(), IDENTITY_DIGITS)));
        let listener = listener(config.listen_rpc, config.max_body_bytes, site, &Parts::Discovered);
        add(ResourceType::Listeners, NAME, encoded(&schema, ResourceType::Listeners, &listener)?);
        let mut snapshot = Self {
            generation: deployment.catalog.generation.clone(),
            deadline: routes::longest_deadline(deployment),
            resources,
            schema,
            deployment: Arc::clone(deployment),
            site: site.clone(),
        };
        snapshot.resources.insert(ResourceType::Routes, snapshot.routes_with(&BTreeSet::new())?);
        snapshot.resources.insert(ResourceType::Filters, snapshot.filters(&deployment.catalog)?);
        Ok(snapshot)
    }

    pub(crate) fn all(&self, kind: ResourceType) -> &Named {
        static NONE: Named = Named::new();
        self.resources.get(&kind).unwrap_or(&NONE)
    }

    /// The routes, which list these clusters as well.
    pub(crate) fn routes_with(&self, clusters: &BTreeSet<String>) -> anyhow::Result<Named> {
        let kind = self.site.filter.kind;
        let json = routes::route_configuration(&self.deployment, clusters, kind);
        let resource = encoded(&self.schema, ResourceType::Routes, &json)?;
        Ok(Named::from([(kind.routes().to_owned(), Arc::new(resource))]))
    }

    /// Both filters, with a catalog that does not name these clusters. Nothing when a chain would have nobody left.
    pub(crate) fn filters_without(&self, clusters: &BTreeSet<String>) -> anyhow::Result<Option<Named>> {
        without(&self.deployment.catalog, clusters)?.map(|catalog| self.filters(&catalog)).transpose()
    }

    fn filters(&self, catalog: &CatalogSpec) -> anyhow::Result<Named> {
        let catalog = filters::catalog(catalog)?;
        let seconds = self.deadline.0.div_ceil(1_000).min(u64::from(u16::MAX));
        let deadline = format!("{seconds:0DEADLINE_DIGITS$x}");
        let filter = |(name, message): (&str, Value)| {
            let extension = json!({"name": name, "typed_config": message});
            let resource = encoded(&self.schema, ResourceType::Filters, &extension)?;
            Ok((name.to_owned(), Arc::new(marked(resource, &deadline))))
        };
        let (names, messages) = (self.site.filter.kind.names(), filters::filters(&catalog, &self.site));
        [(names.down, messages.down), (names.up, messages.up)].into_iter().map(filter).collect()
    }

    /// Whether an Envoy would notice no difference.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let versions = |snapshot: &Self| -> Vec<_> {
            let all = snapshot.resources.values().flatten();
            all.map(|(name, resource)| (name.clone(), resource.version.clone())).collect()
        };
        versions(self) == versions(other)
    }
}

const VERSION_DIGITS: usize = 16;

fn encoded(schema: &Schema, kind: ResourceType, json: &Value) -> anyhow::Result<Resource> {
    let content = schema.encode(kind.message(), json)?;
    // Of the JSON, whose keys are sorted: maps have no order in protobuf's bytes.
    Ok(Resource { version: digest(json.to_string().as_bytes(), VERSION_DIGITS), content })
}

/// A version that begins with something to be read by whoever sees what an Envoy has from before: of a cluster what its name stands for,
/// of a filter the longest deadline of its catalog in seconds.
fn marked(resource: Resource, mark: &str) -> Resource {
    let Resource { version, content } = resource;
    Resource { version: format!("{mark}{}", &version[..VERSION_DIGITS - mark.len()]), content }
}

const DEADLINE_DIGITS: usize = 4;

/// What the cluster with this version leads to.
pub(crate) fn identity_in(version: &str) -> Identity {
    Identity(version.chars().take(IDENTITY_DIGITS).collect())
}

/// The longest deadline of the catalog in the filter with this version. Nothing when it is none of ours.
pub(crate) fn deadline_in(version: &str) -> Option<Millis> {
    let seconds = version.get(..DEADLINE_DIGITS).filter(|_| version.len() == VERSION_DIGITS)?;
    u16::from_str_radix(seconds, 16).ok().map(|seconds| Millis::from_secs(seconds.into()))
}
