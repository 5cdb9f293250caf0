//! How providers are checked when the control plane dials them itself.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Whom to believe, as it was read from `ca_bundle`. Two are equal when they believe the same.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    roots: Arc<RootCertStore>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Trust {
    /// `ca_bundle`: what providers are checked against, as Envoy does it; empty where none has TLS.
    pub(crate) fn read(ca_bundle: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        if !ca_bundle.as_os_str().is_empty() {
            let told = || format!("--ca-bundle: cannot read {}", ca_bundle.display());
            let certificates = CertificateDer::pem_file_iter(ca_bundle).with_context(told)?;
            // One that rustls does not take is no reason not to start: Envoy may take it.
            roots.add_parsable_certificates(certificates.filter_map(Result::ok));
        }
        let roots = Arc::new(roots);
        let provider = rustls::crypto::ring::default_provider();
        let client = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .context("TLS")?
            .with_root_certificates(Arc::clone(&roots))
            .with_no_client_auth();
        Ok(Self { roots, client: Arc::new(client) })
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.roots.roots == other.roots.roots
    }
}
