//! The API over a real store, a real file and real sockets.

use std::time::Duration;

use clap::Parser;
use lasso_routing::catalog::{Catalog, Token};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};

use super::*;
use crate::args::{Cli, Command};
use crate::history::{History, Kept, Pace};
use crate::hub;
use crate::reload::Loader;
use crate::store::{Setup, Store};
use crate::supervise::Supervisor;
use crate::sync::SyncService;
use crate::testing::{Directory, SMALL};

struct Site {
    front: Front,
    running: Running,
    supervisor: Supervisor,
    store: Store,
    files: Directory,
}

impl Site {
    async fn begin(token: Option<&str>) -> Self {
        let files = Directory::with(&[("lasso.yaml", &format!("region: eu\n{SMALL}"))]);
        let path = files.path("lasso.yaml");
        let written = Cli::parse_from(["lasso", "serve", path.to_str().unwrap(), "--ca-bundle", "Cargo.toml"]);
        let Command::Serve { config, site } = written.command else { unreachable!() };
        let loader = Loader::new(config, site);
        let first = loader.first().unwrap();
        let local = "127.0.0.1:0".parse().unwrap();
        let early = Arc::new(loader.first().unwrap());
        let front = Front::open(local, early, token).await.unwrap();
        let catalog = Arc::new(Catalog::try_from(first.deployment.catalog.clone()).unwrap());
        let (mut running, reloader) = Running::new(loader, first, front.drain.clone());
        running.start(reloader).unwrap();
        let notices = broadcast::Sender::new(64);
        let setup = Setup {
            catalog,
            probing: false,
            restored: None,
            seed: 1,
            notices: notices.clone(),
            keep: Arc::new(drop),
            drain: running.drain.subscribe(),
        };
        let supervisor = running.supervisor.clone();
        let (store, run, _) = Store::new(setup, supervisor.clone());
        running.tasks.spawn(run);
        let (_, seen) = watch::channel(Arc::default());
        let (history, mut recorder) = History::new(&mut Kept::open(None, Pace::default()).unwrap(), seen);
        running.tasks.spawn(async move { recorder.run().await });
        let sync = SyncService::new(store.clone(), supervisor.clone(), running.drain.subscribe());
        let fleet = Fleet { store: store.clone(), sync, history, notices, keeper: None };
        let mut site = Self { front, running, supervisor, store, files };
        site.is_early().await;
        let sockets = hub::listen(local).await.unwrap();
        let hub = hub::start(&mut site.running, sockets, &site.store, &Token::from([1; 16])).unwrap();
        site.front.start(&mut site.running, &fleet, &hub);
        site
    }

    /// Nothing runs, and it says so.
    async fn is_early(&self) {
        let (status, body) = self.ask("GET", "/api/ready", "").await;
        assert_eq!(
            (status, &*body),
            (503, r#"{"ready":false,"missing":["ads","configuration","hub","store","sync"]}"#)
        );
        assert_eq!(self.read("/api/health").await["fleet"], Value::Null);
        assert_eq!(self.read("/api/config").await["warnings"].as_array().map(Vec::len), Some(0));
        assert_eq!(self.ask("GET", "/api/chains", "").await.0, 503);
        let (_, metrics) = self.ask("GET", "/metrics", "").await;
        assert!(metrics.contains("lasso_store_up{region=\"eu\"} 0\n"), "{metrics}");
    }

    async fn send(&self, method: &str, path: &str, headers: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.front.address).await.unwrap();
        let host = self.front.address;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    }

    /// Status and body.
    async fn ask(&self, method: &str, path: &str, headers: &str) -> (u16, String) {
        let mut text = String::new();
        self.send(method, path, headers).await.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn read(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// The data of the next event of that name.
async fn hear(events: &mut BufReader<TcpStream>, name: &str) -> Value {
    let next = async {
        let mut found = false;
        loop {
            let mut line = String::new();
            assert!(events.read_line(&mut line).await.unwrap() > 0, "the stream ended before {name}");
            found |= line.strip_prefix("event:").is_some_and(|event| event.trim() == name);
            if let Some(data) = line.strip_prefix("data:").filter(|_| found) {
                return serde_json::from_str(data).unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), next).await.unwrap_or_else(|_| panic!("no {name}"))
}

#[tokio::test]
async fn a_person_opens_a_breaker_and_everybody_hears_of_it() {
    let site = Site::begin(None).await;
    let mut events = BufReader::new(site.send("GET", "/api/events", "").await);
    let mut status = String::new();
    events.read_line(&mut status).await.unwrap();
    assert_eq!(status.trim(), "HTTP/1.1 200 OK");

    let (status, body) = site.ask("POST", "/api/admin/breakers/ethereum/a/http/open", "").await;
    assert_eq!(status, 200, "{body}");
    let opened = hear(&mut events, "breaker_opened").await;
    assert_eq!((&opened["data"]["channel"], &opened["region"]), (&"ethereum/a/http".into(), &"eu".into()));
    // A view may be a little older than the event.
    let shown = async {
        while !site.read("/api/breakers").await["breakers"].as_array().unwrap().iter().any(|it| {
            (&it["channel"], &it["manual"], &it["breaker"])
                == (&"ethereum/a/http".into(), &"open".into(), &"open".into())
        }) {}
    };
    tokio::time::timeout(Duration::from_secs(10), shown).await.expect("the breaker is shown as open");
    let (_, metrics) = site.ask("GET", "/metrics", "").await;
    assert!(metrics.contains("lasso_breaker_state{region=\"eu\",channel=\"ethereum/a/http\"} 2\n"), "{metrics}");
}

#[tokio::test]
async fn a_reload_by_the_api_is_in_force_or_refused_and_shown() {
    let site = Site::begin(Some("a-token-of-the-tests")).await;
    let bearer = "authorization: Bearer a-token-of-the-tests\r\n";
    let mut events = BufReader::new(site.send("GET", "/api/events", "").await);
    let before = site.read("/api/config").await;
    assert!(!before.to_string().contains("canary"), "{before}");
    assert_eq!(site.ask("POST", "/api/admin/reload", "").await.0, 401);

    let path = site.files.path("lasso.yaml");
    std::fs::write(&path, format!("region: eu\n{SMALL}").replace("id: own", "id: other")).unwrap();
    let (status, body) = site.ask("POST", "/api/admin/reload", bearer).await;
    assert_eq!(status, 200, "{body}");
    hear(&mut events, "config_loaded").await;
    let after = site.read("/api/config").await;
    assert_ne!(after["generation"], before["generation"]);

    std::fs::write(&path, format!("region: eu\nmax_batsh: 1\n{SMALL}")).unwrap();
    let (status, body) = site.ask("POST", "/api/admin/reload", bearer).await;
    assert!(status == 422 && body.contains("did you mean `max_batch`?"), "{status} {body}");
    let refused = site.read("/api/config").await;
    assert_eq!(refused["generation"], after["generation"]);
    assert!(refused["refused"]["problems"][0].as_str().unwrap().contains("max_batsh"), "{refused}");
    let (_, metrics) = site.ask("GET", "/metrics", "").await;
    assert!(metrics.contains("lasso_config_refused{region=\"eu\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn a_panic_of_the_store_is_told_and_counted_and_it_answers_again() {
    let site = Site::begin(None).await;
    let mut events = BufReader::new(site.send("GET", "/api/events", "").await);
    [CONFIGURATION, HUB, STORE, ADS, SYNC].into_iter().for_each(|part| site.front.readiness.has(part));
    assert_eq!(site.read("/api/ready").await["ready"], true);
    site.store.panic().await.unwrap();
    assert_eq!(hear(&mut events, "task_restarted").await["data"]["task"], "store");
    assert_eq!(site.read("/api/chains").await["chains"].as_array().unwrap().len(), 2);
    let (_, metrics) = site.ask("GET", "/metrics", "").await;
    assert!(metrics.contains("lasso_task_restarts_total{region=\"eu\",task=\"store\"} 1\n"), "{metrics}");
    for queue in
        ["store", "sync_outbox", "probe_orders", "fleet_notices", "notices", "panics", "events", "reload_orders"]
    {
        assert!(
            metrics.contains(&format!("lasso_queue_high_water{{region=\"eu\",queue=\"{queue}\"}}")),
            "{queue}: {metrics}"
        );
    }
    assert_eq!(site.supervisor.panics()["store"], 1);
    site.running.drain.send_replace(true);
}
