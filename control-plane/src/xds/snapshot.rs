//! All resources of one configuration, encoded and versioned.
//!
//! Duty: what an Envoy may be sent, by type and name.
//! Invariant: a version is a hash of the resource's content, so the same content has the same version after a restart and on every
//! replica, and an Envoy that has it is not sent it again.
//! Leaves to others: who is sent what, and when (`session`).

use std::collections::BTreeMap;

use envoy_types::pb::google::protobuf::Any;
use serde_json::{Value, json};

use super::encode::Schema;
use super::resources::listener::{Parts, listener};
use super::resources::{DOWN, NAME, Site, UP, clusters, filters, routes, type_url};
use crate::compile::{Deployment, digest};
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

/// Everything there is.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    resources: BTreeMap<ResourceType, BTreeMap<String, Resource>>,
}

impl Snapshot {
    pub(crate) fn new(config: &Config, deployment: &Deployment, site: &Site) -> anyhow::Result<Self> {
        let schema = Schema::load()?;
        let catalog = filters::catalog(&deployment.catalog)?;
        let mut snapshot = Self::default();
        for plan in &deployment.clusters {
            snapshot.add(&schema, ResourceType::Clusters, &plan.name, &clusters::cluster(plan, site))?;
        }
        snapshot.add(&schema, ResourceType::Routes, NAME, &routes::route_configuration(deployment))?;
        for name in [DOWN, UP] {
            let extension = json!({"name": name, "typed_config": filters::wasm(name, &catalog, site)});
            snapshot.add(&schema, ResourceType::Filters, name, &extension)?;
        }
        let listener = listener(config.listen_rpc, config.max_body_bytes, site, &Parts::Discovered);
        snapshot.add(&schema, ResourceType::Listeners, NAME, &listener)?;
        Ok(snapshot)
    }

    fn add(&mut self, schema: &Schema, kind: ResourceType, name: &str, json: &Value) -> anyhow::Result<()> {
        let content = schema.encode(kind.message(), json)?;
        // Of the JSON, whose keys are sorted: maps have no order in protobuf's bytes.
        let version = digest(json.to_string().as_bytes(), VERSION_DIGITS);
        self.insert(kind, name, Resource { version, content });
        Ok(())
    }

    pub(crate) fn insert(&mut self, kind: ResourceType, name: &str, resource: Resource) {
        self.resources.entry(kind).or_default().insert(name.to_owned(), resource);
    }

    pub(crate) fn named(&self, kind: ResourceType, name: &str) -> Option<&Resource> {
        self.resources.get(&kind)?.get(name)
    }

    pub(crate) fn names(&self, kind: ResourceType) -> impl Iterator<Item = &String> {
        self.resources.get(&kind).into_iter().flat_map(BTreeMap::keys)
    }
}

const VERSION_DIGITS: usize = 16;
