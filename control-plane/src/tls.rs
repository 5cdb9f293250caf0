//! How providers are checked when the control plane dials them itself.

use std::path::Path;

use anyhow::Context;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// `ca_bundle`: what providers are checked against, as Envoy does it; empty where none has TLS.
pub(crate) fn client(ca_bundle: &Path) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if !ca_bundle.as_os_str().is_empty() {
        let told = || format!("--ca-bundle: cannot read {}", ca_bundle.display());
        let certificates = CertificateDer::pem_file_iter(ca_bundle).with_context(told)?;
        // One that rustls does not take is no reason not to start: Envoy may take it.
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    let provider = rustls::crypto::ring::default_provider();
    let client = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .context("TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(client)
}
