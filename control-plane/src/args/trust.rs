//! Which certificates providers are checked against.
//!
//! Duty: the file that was named, else the environment's, else the system's wherever this system keeps it.
//! Invariant: the file can be read here and now: an Envoy without it refuses every cluster with TLS, and says so much later.
//! Leaves to others: whether they are needed (`args`), what is in it (Envoy).

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::Lookup;

/// Where systems keep their bundle.
pub(super) const USUAL: [&str; 6] = [
    // Debian, Ubuntu, Arch, Gentoo, Alpine
    "/etc/ssl/certs/ca-certificates.crt",
    // RHEL, Fedora, Amazon Linux
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // SUSE
    "/etc/ssl/ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    // Alpine without the package, BSD, macOS
    "/etc/ssl/cert.pem",
];

/// The bundle. The error says which option to set.
pub(super) fn bundle(named: Option<PathBuf>, environment: &Lookup<'_>, usual: &[&Path]) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        readable(&path).with_context(|| format!("--ca-bundle: cannot read {}", path.display()))?;
        return Ok(path);
    }
    if let Some(path) = environment("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from) {
        let told =
            || format!("SSL_CERT_FILE: cannot read {}; set it right, or name a file with --ca-bundle", path.display());
        readable(&path).with_context(told)?;
        return Ok(path);
    }
    if let Some(path) = usual.iter().find(|path| readable(path).is_ok()) {
        return Ok(path.to_path_buf());
    }
    let looked: Vec<_> = usual.iter().map(|path| path.display().to_string()).collect();
    bail!(
        "--ca-bundle: there are providers on https, and no certificates to check them against at {}; install the system's \
         (ca-certificates), or name a file with --ca-bundle",
        looked.join(", ")
    )
}

fn readable(path: &Path) -> std::io::Result<()> {
    if File::open(path)?.metadata()?.is_file() { Ok(()) } else { Err(std::io::Error::other("not a file")) }
}
