//! Who is told what: the control plane's cluster, and the request log.
//!
//! Duty: check and hand out both. Invariant: a share is between 0 and 1, a cluster has a name.
//! Leaves to others: telling (`lasso-filter`), writing it down (Envoy's access log).

use super::error::Mistake;
use super::spec::{RequestLogSpec, SyncSpec};
use super::{Catalog, CatalogError};

/// What the request log is to have. Errors are always in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestLog {
    /// Successes below this threshold, of a number drawn from all of `u32`, are in it; one above `u32::MAX` is all of them.
    threshold: u64,
    /// Whether it has a digest of the params.
    pub params_digest: bool,
    /// Where error messages are cut.
    pub max_error_message_chars: usize,
}

impl RequestLog {
    /// Whether the success that drew this number is in the log.
    #[must_use]
    pub const fn samples(&self, drawn: u32) -> bool {
        (drawn as u64) < self.threshold
    }
}

impl TryFrom<&RequestLogSpec> for RequestLog {
    type Error = CatalogError;

    fn try_from(spec: &RequestLogSpec) -> Result<Self, CatalogError> {
        if !(0.0..=1.0).contains(&spec.sampling) {
            let mistake = Mistake::NotAShare(spec.sampling.to_string());
            return Err(CatalogError { path: "request_log.sampling".to_owned(), mistake });
        }
        Ok(Self {
            threshold: (spec.sampling * (f64::from(u32::MAX) + 1.0)) as u64,
            params_digest: spec.include_params_digest,
            max_error_message_chars: spec.max_error_message_chars as usize,
        })
    }
}

pub(super) fn sync_cluster(spec: &SyncSpec) -> Result<Box<str>, CatalogError> {
    if spec.cluster.is_empty() {
        return Err(CatalogError { path: "sync.cluster".to_owned(), mistake: Mistake::Empty });
    }
    Ok(spec.cluster.as_str().into())
}

impl Catalog {
    /// Envoy's cluster that leads to the control plane. `None`: there is none to talk to.
    #[must_use]
    pub fn sync_cluster(&self) -> Option<&str> {
        self.sync.as_deref()
    }

    /// What the request log is to have. `None`: nobody reads it.
    #[must_use]
    pub const fn request_log(&self) -> Option<&RequestLog> {
        self.request_log.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sampling: f64, least: bool, middle: bool, most: bool) {
        let log = RequestLog::try_from(&RequestLogSpec { sampling, ..RequestLogSpec::default() }).unwrap();
        assert_eq!((log.samples(0), log.samples(1 << 31), log.samples(u32::MAX)), (least, middle, most), "{sampling}");
    }

    #[test]
    fn sampling_is_a_share_of_what_is_drawn() {
        check(0.0, false, false, false);
        check(0.5, true, false, false);
        check(0.75, true, true, false);
        check(1.0, true, true, true);
    }

    #[test]
    fn a_share_is_between_nothing_and_all() {
        for sampling in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let refused = RequestLog::try_from(&RequestLogSpec { sampling, ..RequestLogSpec::default() }).unwrap_err();
            assert_eq!(refused.path, "request_log.sampling");
        }
    }

    #[test]
    fn the_control_planes_cluster_has_a_name() {
        assert_eq!(sync_cluster(&SyncSpec { cluster: "lasso-control".into() }).unwrap(), "lasso-control".into());
        assert_eq!(sync_cluster(&SyncSpec { cluster: String::new() }).unwrap_err().path, "sync.cluster");
    }
}
