//! The real task over real files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Cause, Current, Loader, Order, Reload};
use crate::args::{Cli, Command};
use crate::compile::names::Identity;
use crate::notice::{Notice, Notices};
use crate::supervise::Supervisor;
use crate::testing::{Directory, SMALL, SOCKETS};

const MOVED: &str = "http://127.0.0.2:8545/canary";

/// A running reloader.
struct Running {
    reload: Reload,
    heard: tokio::sync::broadcast::Receiver<Notice>,
    drain: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    fn on(path: &Path) -> Self {
        Self::trusting(path, Path::new("Cargo.toml"))
    }

    fn trusting(path: &Path, bundle: &Path) -> Self {
        let [path, bundle] = [path, bundle].map(|path| path.to_str().unwrap());
        let written = Cli::parse_from(["lasso", "serve", path, "--ca-bundle", bundle]);
        let Command::Serve { config, site } = written.command else { unreachable!() };
        let loader = Loader::new(config, site);
        let first = loader.first().unwrap();
        let notices = Notices::new();
        let heard = notices.subscribe();
        let (reload, reloader) = Reload::new(loader, first, notices);
        let (drain, drained) = watch::channel(false);
        let task = tokio::spawn(reloader.run(reload.clone(), Supervisor::new(), drained));
        Self { reload, heard, drain, task }
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.reload.current().borrow())
    }

    fn clusters(&self) -> Vec<String> {
        self.current().deployment.clusters.iter().map(|plan| plan.name.replace("lasso/", "")).collect()
    }

    /// Waits for a configuration other than this one.
    async fn after(&self, generation: &str) {
        let mut current = self.reload.current();
        let other = current.wait_for(|current| current.generation != generation);
        tokio::time::timeout(Duration::from_secs(20), other).await.unwrap().unwrap();
    }

    async fn end(self) {
        self.drain.send_replace(true);
        self.task.await.unwrap();
        assert!(self.reload.now(Cause::Call).await.is_err());
    }
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_shown_until_it_is_good_again() {
    let files = Directory::with(&[("lasso.yaml", SMALL)]);
    let path = files.path("lasso.yaml");
    let mut running = Running::on(&path);
    let generation = running.current().generation.clone();
    fs::write(&path, SMALL.replace("chain_id: 1", "chain_id: one").replace("id: own", "idd: own")).unwrap();
    let refused = running.reload.now(Cause::Call).await.unwrap_err();
    assert_eq!(refused.lines().count(), 5, "{refused}");
    assert!(refused.contains("lasso.yaml:6: profiles.beta.chains.ethereum.chain_id: `one` is not"), "{refused}");
    assert!(!refused.contains("canary"), "{refused}");
    let shown = running.reload.refused().borrow().clone().unwrap();
    assert_eq!((shown.cause, &shown.problems), (Cause::Call, &refused));
    assert_eq!(running.current().generation, generation);
    assert_eq!(running.heard.recv().await.unwrap(), Notice::ReloadRefused { problems: refused });

    fs::write(&path, SMALL.replace("id: own", "id: new")).unwrap();
    let summary = running.reload.now(Cause::Call).await.unwrap();
    assert!(summary.changed && running.reload.refused().borrow().is_none());
    assert_eq!(summary.added, ["lasso/beta:ethereum/new/http"]);
    assert_eq!(summary.removed, ["lasso/beta:ethereum/own/http"]);
    assert_eq!(summary.generation, running.current().generation);
    running.end().await;
}

#[tokio::test]
async fn certificates_are_read_again_and_refused_when_they_cannot_be() {
    let certificate = || rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap().cert.pem();
    let files = Directory::with(&[("lasso.yaml", SOCKETS), ("ca.pem", &certificate())]);
    let bundle = files.path("ca.pem");
    let running = Running::trusting(&files.path("lasso.yaml"), &bundle);
    let first = running.current();
    assert!(!running.reload.now(Cause::Call).await.unwrap().changed, "they are the same");

    fs::write(&bundle, certificate()).unwrap();
    let summary = running.reload.now(Cause::Call).await.unwrap();
    assert!(summary.changed && summary.added.is_empty() && summary.removed.is_empty());
    let second = running.current();
    assert!(second.trust != first.trust);
    assert_eq!(second.generation, first.generation, "nobody else is told of anything new");

    fs::remove_file(&bundle).unwrap();
    let refused = running.reload.now(Cause::Call).await.unwrap_err();
    assert!(refused.starts_with("--ca-bundle: cannot read "), "{refused}");
    assert!(running.current().trust == second.trust);
    running.end().await;
}

#[tokio::test]
async fn a_panic_ends_one_reload_and_the_next_one_is_done() {
    let files = Directory::with(&[("lasso.yaml", SMALL)]);
    let path = files.path("lasso.yaml");
    let running = Running::on(&path);
    let generation = running.current().generation.clone();
    running.reload.orders.send(Order::Panic).await.unwrap();
    fs::write(&path, SMALL.replace("id: own", "id: new")).unwrap();
    running.after(&generation).await;
    assert!(running.clusters().contains(&"beta:ethereum/new/http".to_owned()));
    running.end().await;
}

#[tokio::test]
async fn what_holds_from_the_start_on_is_refused_with_everything_else_in_the_file() {
    let files = Directory::with(&[("lasso.yaml", SMALL)]);
    let running = Running::on(&files.path("lasso.yaml"));
    let text = SMALL.replace("127.0.0.1:10000", "127.0.0.1:10001").replace("id: own", "id: new");
    fs::write(files.path("lasso.yaml"), text).unwrap();
    let refused = running.reload.now(Cause::Call).await.unwrap_err();
    assert!(refused.contains("lasso.yaml:1: listen.rpc: stays 127.0.0.1:10000 while `lasso serve` runs"), "{refused}");
    assert!(running.clusters().contains(&"beta:ethereum/own/http".to_owned()));
    running.end().await;
}

#[tokio::test]
async fn the_same_again_is_no_change() {
    let files = Directory::with(&[("lasso.yaml", SMALL)]);
    let running = Running::on(&files.path("lasso.yaml"));
    let before = running.current();
    fs::write(files.path("lasso.yaml"), format!("# a comment\n{SMALL}")).unwrap();
    let summary = running.reload.now(Cause::Signal).await.unwrap();
    assert!(!summary.changed && summary.added.is_empty() && summary.removed.is_empty());
    assert!(Arc::ptr_eq(&before, &running.current()));
    running.end().await;
}

#[tokio::test]
async fn a_new_key_of_a_socket_is_a_change_although_no_envoy_is_told_of_it() {
    let files = Directory::with(&[("lasso.yaml", SOCKETS)]);
    let running = Running::on(&files.path("lasso.yaml"));
    let generation = running.current().generation.clone();
    fs::write(files.path("lasso.yaml"), SOCKETS.replace("/v2/wscanary", "/v2/another")).unwrap();
    assert!(running.reload.now(Cause::Call).await.unwrap().changed);
    let now = running.current();
    assert_eq!((&now.generation, now.deployment.sockets[0].location.path.as_str()), (&generation, "/v2/another"));
    running.end().await;
}

#[tokio::test]
async fn a_provider_that_moved_is_another_channel_and_a_new_key_is_not() {
    let files = Directory::with(&[("lasso.yaml", SMALL)]);
    let running = Running::on(&files.path("lasso.yaml"));
    let own = |clusters: &[String]| clusters.iter().find(|name| name.contains("own")).unwrap().clone();
    let key = SMALL.replace("8545/canary", "8545/canary-2");
    fs::write(files.path("lasso.yaml"), &key).unwrap();
    assert!(running.reload.now(Cause::Call).await.unwrap().changed);
    assert_eq!(own(&running.clusters()), "beta:ethereum/own/http");
    fs::write(files.path("lasso.yaml"), SMALL.replace("http://127.0.0.1:8545/canary", MOVED)).unwrap();
    running.reload.now(Cause::Call).await.unwrap();
    let moved = own(&running.clusters());
    assert!(moved.starts_with("beta:ethereum/own/http@"), "{moved}");
    fs::write(files.path("lasso.yaml"), SMALL).unwrap();
    running.reload.now(Cause::Call).await.unwrap();
    assert_eq!(own(&running.clusters()), "beta:ethereum/own/http");
    running.end().await;
}

#[tokio::test]
async fn a_name_that_an_envoy_has_for_another_place_is_given_up() {
    let files = Directory::with(&[("lasso.yaml", SMALL)]);
    let running = Running::on(&files.path("lasso.yaml"));
    let before = running.current();
    let taken = || vec![("lasso/ethereum/a/http".to_owned(), Identity("elsewhere".to_owned()))];
    running.reload.taken(taken()).await;
    running.after(&before.generation).await;
    assert!(running.clusters()[0].starts_with("ethereum/a/http@"), "{:?}", running.clusters());
    // Other Envoys say the same.
    let moved = running.current();
    running.reload.taken(taken()).await;
    running.reload.now(Cause::Call).await.unwrap();
    assert!(Arc::ptr_eq(&moved, &running.current()));
    // A later file keeps it so.
    fs::write(files.path("lasso.yaml"), SMALL.replace("id: own", "id: new")).unwrap();
    running.reload.now(Cause::Call).await.unwrap();
    assert!(running.clusters()[0].starts_with("ethereum/a/http@"), "{:?}", running.clusters());
    running.end().await;
}

/// A change on disk is seen without being told of.
async fn check(path: &Path, change: impl FnOnce()) {
    let running = Running::on(path);
    let before = running.current().generation.clone();
    change();
    running.after(&before).await;
    running.end().await;
}

#[tokio::test]
async fn a_file_that_is_written_in_place_is_read() {
    let files = Directory::with(&[("lasso.yaml", SMALL)]);
    let path = files.path("lasso.yaml");
    check(&path, || fs::write(&path, SMALL.replace("id: own", "id: new")).unwrap()).await;
}

#[tokio::test]
async fn a_file_that_is_renamed_over_is_read() {
    let files = Directory::with(&[("lasso.yaml", SMALL), ("new", &SMALL.replace("id: own", "id: new"))]);
    let path = files.path("lasso.yaml");
    check(&path, || fs::rename(files.path("new"), &path).unwrap()).await;
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_followed() {
    // As Kubernetes mounts a ConfigMap.
    let files = Directory::with(&[]);
    for (version, text) in [("..1", SMALL.to_owned()), ("..2", SMALL.replace("id: own", "id: new"))] {
        fs::create_dir(files.path(version)).unwrap();
        fs::write(files.path(version).join("lasso.yaml"), text).unwrap();
    }
    symlink("..1", files.path("..data")).unwrap();
    symlink("..data/lasso.yaml", files.path("lasso.yaml")).unwrap();
    let swap = || {
        symlink("..2", files.path("..data_tmp")).unwrap();
        fs::rename(files.path("..data_tmp"), files.path("..data")).unwrap();
    };
    check(&files.path("lasso.yaml"), swap).await;
}

#[tokio::test]
async fn a_profile_that_is_added_to_a_directory_is_read() {
    let profile = "chains: {ethereum: {chain_id: 1, providers: [{id: a, url: 'http://127.0.0.1:8545'}]}}";
    let files = Directory::with(&[("public.yaml", profile)]);
    check(&files.path(""), || fs::write(files.path("beta.yaml"), profile.replace("id: a", "id: b")).unwrap()).await;
}
