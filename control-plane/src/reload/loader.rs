//! From a path to everything that is served.
//!
//! Duty: read, check, compile and encode a configuration.
//! Invariant: a [`Current`] exists only when nothing was wrong with any part of it.
//! Leaves to others: when (`reload`), the parts themselves (`config`, `compile`, `xds::snapshot`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lasso_routing::time::Millis;

use crate::args::SiteArgs;
use crate::compile::names::Names;
use crate::compile::{Deployment, Tokens};
use crate::config::Loaded;
use crate::tls::Trust;
use crate::xds::resources::Site;
use crate::xds::secrets::Secrets;
use crate::xds::snapshot::Snapshot;
use crate::{deployment, environment, load};

/// A configuration in effect.
#[derive(Debug)]
pub(crate) struct Current {
    /// The content hash of its catalog.
    pub(crate) generation: String,
    pub(crate) loaded_at: SystemTime,
    pub(crate) loaded: Arc<Loaded>,
    /// What a person should know about it.
    pub(crate) warnings: Vec<String>,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) snapshot: Arc<Snapshot>,
    /// The longest deadline of this catalog and of all before it.
    pub(crate) longest_deadline: Millis,
    /// What must not be logged.
    pub(crate) secrets: Secrets,
    pub(crate) site: Site,
    /// The site's `ca_bundle`, as it was read with the configuration.
    pub(crate) trust: Trust,
}

impl Current {
    fn new(
        loaded: Arc<Loaded>,
        (site, trust): (Site, Trust),
        names: &Names,
        before: Millis,
        loader: &Loader,
    ) -> anyhow::Result<Self> {
        let mut deployment = deployment(&loaded, names)?;
        if let Some(tokens) = &loader.tokens {
            deployment = deployment.with_tokens(tokens)?;
        }
        let deployment = Arc::new(deployment);
        let snapshot = Snapshot::new(&loaded.config, &deployment, &site)?;
        Ok(Self {
            generation: deployment.catalog.generation.clone(),
            loaded_at: SystemTime::now(),
            warnings: loaded.warnings.clone(),
            longest_deadline: before.max(snapshot.deadline),
            snapshot: Arc::new(snapshot),
            secrets: Secrets::of(&deployment.catalog),
            loaded,
            deployment,
            site,
            trust,
        })
    }

    /// Whether nobody would notice a difference.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.loaded.effective == other.loaded.effective
            && self.warnings == other.warnings
            && self.deployment.sockets == other.deployment.sockets
            && self.snapshot.is_like(&other.snapshot)
            && self.trust == other.trust
    }
}

/// Where the configuration is, and what the command line knows better.
#[derive(Debug)]
pub(crate) struct Loader {
    path: PathBuf,
    site: SiteArgs,
    /// What every catalog gets, once it is known.
    tokens: Option<Tokens>,
}

impl Loader {
    pub(crate) fn new(path: PathBuf, site: SiteArgs) -> Self {
        Self { path, site, tokens: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What `lasso serve` starts with.
    pub(crate) fn first(&self) -> anyhow::Result<Current> {
        self.read(|_| Ok(()), &Names::default(), Millis::ZERO)
    }

    /// Probes and Envoys are known by these words; `first` again, with them.
    pub(crate) fn with_tokens(mut self, tokens: Tokens, first: &Current) -> anyhow::Result<(Self, Current)> {
        self.tokens = Some(tokens);
        let first = self.again(first, &Names::default())?;
        Ok((self, first))
    }

    /// What is there now. It may not change what holds from the start on.
    pub(super) fn reload(&self, before: &Current, names: &Names) -> anyhow::Result<Current> {
        let holds =
            |loaded: &Loaded| loaded.fixed_since(&before.loaded).map_or(Ok(()), |problems| Err(problems.into()));
        self.read(holds, names, before.longest_deadline)
    }

    /// The same with other names.
    pub(super) fn again(&self, before: &Current, names: &Names) -> anyhow::Result<Current> {
        let around = (before.site.clone(), before.trust.clone());
        Current::new(Arc::clone(&before.loaded), around, names, before.longest_deadline, self)
    }

    fn read(
        &self,
        holds: impl Fn(&Loaded) -> anyhow::Result<()>,
        names: &Names,
        before: Millis,
    ) -> anyhow::Result<Current> {
        let loaded = load(&self.path, self.site.workers)?;
        holds(&loaded)?;
        let site = self.site.site(&loaded.config, &environment)?;
        let trust = Trust::read(&site.ca_bundle)?;
        Current::new(Arc::new(loaded), (site, trust), names, before, self)
    }
}
