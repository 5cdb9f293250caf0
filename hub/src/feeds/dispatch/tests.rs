//! Where wishes go, and what becomes of them when the site is another. Nobody dials, so that subscriptions wait.

use bytes::Bytes;
use lasso_routing::catalog::CatalogSpec;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use url::Url;

use super::*;
use crate::feeds::gateway::Posted;
use crate::outlet::{Waiting, outlet};
use crate::upstream::Parts;
use crate::{HubToken, Limits, Task, WsChannel};

#[derive(Debug)]
struct Nobody;

impl Gateway for Nobody {
    fn post(&self, _: String, _: Bytes) -> Posted {
        Box::pin(async { Err("nobody".to_owned()) })
    }
}

impl Supervise for Nobody {
    fn keep_up(&self, _: &'static str, mut start: Box<dyn FnMut() -> Task + Send>) -> Task {
        start()
    }

    fn outlive(&self, _: &'static str, task: Task) -> Task {
        task
    }
}

/// Chains with their providers, by profile; each provider has a ws channel.
type Profiles<'a> = &'a [(&'a str, &'a [(&'a str, &'a [&'a str])])];

const BOTH: Profiles<'_> = &[("public", &[("one", &["z", "a"])]), ("other", &[("one", &["z", "a"])])];
const OTHER_LACKS_A: Profiles<'_> = &[("public", &[("one", &["z", "a"])]), ("other", &[("one", &["z"])])];
const WITHOUT_OTHER: Profiles<'_> = &[("public", &[("one", &["z", "a"])])];
const MORE_CHAINS: Profiles<'_> =
    &[("aside", &[("two", &["b"])]), ("public", &[("two", &["b"]), ("one", &["a", "z"])])];
const WITHOUT_Z: Profiles<'_> = &[("public", &[("one", &["a"])])];

fn site(profiles: Profiles<'_>) -> Arc<Site> {
    let mut ids: Vec<String> = Vec::new();
    let specs: Vec<_> = profiles
        .iter()
        .map(|(profile, chains)| {
            let chains: Vec<_> = chains
                .iter()
                .map(|(chain, providers)| {
                    let providers: Vec<_> = providers
                        .iter()
                        .map(|provider| {
                            let id = format!("{chain}/{provider}/ws");
                            if !ids.contains(&id) {
                                ids.push(id.clone());
                            }
                            json!({ "id": provider, "channels": [id] })
                        })
                        .collect();
                    let chain_id = if *chain == "one" { 1 } else { 2 };
                    json!({ "id": chain, "chain_id": chain_id, "strategy": "priority", "providers": providers })
                })
                .collect();
            json!({ "id": profile, "chains": chains })
        })
        .collect();
    let channel =
        |id: &String| json!({ "id": id, "transport": "ws", "cluster": "c", "authority": "hub", "path": "/x" });
    let spec: CatalogSpec = serde_json::from_value(json!({
        "version": 1,
        "generation": "0000000000000001",
        "channels": ids.iter().map(channel).collect::<Vec<_>>(),
        "profiles": specs,
    }))
    .unwrap();
    let channel = |id: &String| WsChannel {
        id: id.as_str().into(),
        chain_id: 1,
        url: Url::parse("ws://127.0.0.1:1").unwrap(),
        headers: Vec::new(),
        kinds: None,
        priority: 0,
    };
    Arc::new(Site {
        catalog: Arc::new(Catalog::try_from(spec).unwrap()),
        channels: ids.iter().map(channel).collect(),
        subscriptions: BTreeMap::new(),
        calls: None,
        token: HubToken::new("word".into()),
        limits: Limits { sockets: 1, subscriptions: 1, provider_sockets: 1, message_bytes: 1, batch: 1 },
    })
}

struct World {
    dispatch: Dispatch,
    site: watch::Sender<Arc<Site>>,
    clients: Vec<Waiting>,
}

impl World {
    fn new(profiles: Profiles<'_>) -> Self {
        let (sites, followed) = watch::channel(site(profiles));
        let (notices, _) = broadcast::channel(16);
        let supervisor: Arc<dyn Supervise> = Arc::new(Nobody);
        let tls = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let parts = Parts {
            site: followed.clone(),
            tls: watch::channel(Arc::new(tls)).1,
            notices: notices.clone(),
            supervisor: Arc::clone(&supervisor),
        };
        let means = Means {
            site: followed,
            standings: watch::channel(Arc::default()).1,
            upstream: Upstream::start(parts).0,
            gateway: Arc::new(Nobody),
            notices,
            supervisor,
            machines: Arc::new(AtomicU64::new(1)),
        };
        Self { dispatch: Dispatch::new(means), site: sites, clients: Vec::new() }
    }

    /// Somebody of a profile wants the heads of chain `one`, of one provider, as the catalog is at this moment.
    fn wanted(&mut self, profile: &str, provider: Option<&str>) -> Wanted {
        let catalog = Arc::clone(&self.site.borrow().catalog);
        let profile = catalog.profile_named(profile).unwrap();
        let chain = catalog.chain_named(profile, "one").unwrap();
        let providers = catalog.chain(chain).unwrap().providers();
        let provider = provider.map(|name| providers.iter().position(|known| known.id() == name).unwrap());
        let (outlet, waiting) = outlet(Arc::default());
        self.clients.push(waiting);
        Wanted {
            subscription: SubscriptionId(self.clients.len() as u64 - 1),
            name: "0x1".into(),
            request: "1".into(),
            catalog,
            profile,
            chain,
            provider,
            exclude: Vec::new(),
            params: Some(r#"["newHeads"]"#.into()),
            outlet,
        }
    }

    fn subscribe(&mut self, profile: &str) {
        let wanted = self.wanted(profile, None);
        self.dispatch.subscribe(wanted);
    }

    fn reload(&mut self, profiles: Profiles<'_>) {
        let now = site(profiles);
        self.site.send_replace(Arc::clone(&now));
        self.dispatch.adopt(&now);
    }

    /// Feeds as `profile/chain/provider: subscribers`; what was said before is done by then.
    async fn feeds(&self) -> Vec<String> {
        let (reply, replied) = oneshot::channel();
        self.dispatch.view(reply);
        let row = |row: FeedRow| {
            let provider = row.provider.as_deref().unwrap_or("*");
            format!("{}/{}/{provider}: {}", row.profile, row.chain, row.subscribers)
        };
        replied.await.unwrap().into_iter().map(row).collect()
    }

    /// Who was told that its subscription ended.
    fn ended(&mut self) -> Vec<usize> {
        let mut ended = Vec::new();
        for (place, client) in self.clients.iter_mut().enumerate() {
            if matches!(client.ready(), Some(Outgoing::Ended { .. })) {
                ended.push(place);
            }
        }
        ended
    }
}

#[tokio::test]
async fn profiles_with_the_same_channels_share_a_feed() {
    let mut world = World::new(BOTH);
    world.subscribe("public");
    world.subscribe("other");
    assert_eq!(world.feeds().await, ["public/one/*: 2"]);
}

#[tokio::test]
async fn a_reload_ends_only_who_has_other_channels_now() {
    #[track_caller]
    fn check(found: (Vec<usize>, Vec<String>), ended: &[usize], feeds: &[&str]) {
        assert_eq!(found.0, ended);
        assert_eq!(found.1, feeds);
    }
    for settled in [true, false] {
        for (reloaded, ended, feeds) in [
            (BOTH, &[][..], "public/one/*: 2"),
            (OTHER_LACKS_A, &[1], "public/one/*: 1"),
            (WITHOUT_OTHER, &[1], "public/one/*: 1"),
        ] {
            let mut world = World::new(BOTH);
            world.subscribe("public");
            world.subscribe("other");
            if settled {
                world.feeds().await;
            }
            world.reload(reloaded);
            let found = world.feeds().await;
            check((world.ended(), found), ended, &[feeds]);
        }
    }
}

#[tokio::test]
async fn a_wish_from_before_a_reload_means_what_it_meant() {
    let mut world = World::new(BOTH);
    let (all, only) = (world.wanted("public", None), world.wanted("public", Some("z")));
    world.reload(MORE_CHAINS);
    world.dispatch.subscribe(all);
    world.dispatch.subscribe(only);
    assert_eq!(world.feeds().await, ["public/one/*: 1", "public/one/z: 1"]);
}

#[tokio::test]
async fn a_wish_for_what_is_not_there_any_more_is_refused() {
    let mut world = World::new(BOTH);
    let (other, only) = (world.wanted("other", None), world.wanted("public", Some("z")));
    world.reload(WITHOUT_Z);
    for wanted in [other, only] {
        world.dispatch.subscribe(wanted);
    }
    for client in &mut world.clients {
        assert!(matches!(client.ready(), Some(Outgoing::Refused { .. })));
    }
    assert!(world.dispatch.members.is_empty());
}

#[tokio::test]
async fn who_left_is_forgotten() {
    let mut world = World::new(BOTH);
    world.subscribe("public");
    world.dispatch.leave(SubscriptionId(0));
    assert!(world.dispatch.members.is_empty());
    assert!(world.feeds().await.is_empty());
}

#[tokio::test]
async fn no_machine_has_the_number_of_another_whoever_started_it() {
    let mut world = World::new(BOTH);
    world.subscribe("public");
    world.feeds().await;
    world.dispatch = Dispatch::new(world.dispatch.means.clone());
    world.subscribe("public");
    world.feeds().await;
    assert_eq!(world.dispatch.means.machines.load(Ordering::Relaxed), 3);
}
