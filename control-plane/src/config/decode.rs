//! Rules between keys, and the way from checked sections to [`Config`].
//!
//! Duty: duplicates, reserved names, vendors' shorthand, inheritance of defaults, providers left out for want of a variable.
//! Invariant: whatever cannot be decoded was reported, here or by `checked`.
//! Leaves to others: kinds and ranges (`checked`).

mod provider;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use hyper::http::uri::Authority;
use lasso_routing::catalog::spec::{BreakerSpec, MethodRulesSpec, RequestLogSpec};
use lasso_routing::time::Millis;

use super::checked::{Item, Section};
use super::problem::{Place, Problem};
use super::schema::{STRATEGIES, listed};
use super::{Chain, Config, Hub, ProbeVia, Profile, Subscriptions};

pub(crate) fn config(root: &Section, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) -> Option<Config> {
    let mut decoder = Decoder { problems, warnings, hosts: Names::new("host") };
    let defaults = root.section("defaults")?;
    let listen = root.section("listen")?;
    let observability = root.section("observability")?;
    decoder.addresses(listen);
    let mut profiles: Vec<Profile> =
        root.named("profiles").iter().filter_map(|(id, section)| decoder.profile(id, section, defaults)).collect();
    profiles.sort_by_key(|profile| profile.id != PUBLIC);
    let mut chains = profiles.iter().flat_map(|profile| &profile.chains);
    if decoder.problems.is_empty() && chains.all(|chain| chain.providers.is_empty()) {
        let unset = decoder.warnings.join("; ");
        decoder.wrong(
            &root.place,
            "profiles",
            format!("no provider can be used ({unset}); set what one of them needs"),
        );
    }
    Some(Config {
        listen_rpc: listen.address("rpc")?,
        listen_xds: listen.address("xds")?,
        listen_hub: listen.address("hub")?,
        listen_http: listen.address("http")?,
        region: root.text("region").unwrap_or_default().to_owned(),
        log_level: observability.text("log_level")?.to_owned(),
        data_dir: root.text("data_dir").map(PathBuf::from),
        probe_via: decoder.probe_via(root, listen.address("rpc")?),
        calls_via: decoder.calls_via(root, listen.address("rpc")?),
        hub: hub(root)?,
        workers: root.small("workers"),
        max_batch: root.small("max_batch")?,
        max_body_bytes: root.small("max_body_bytes")?,
        max_meta_header_bytes: observability.small("max_meta_header_bytes")?,
        request_log: RequestLogSpec {
            sampling: observability.number("sampling")?,
            include_params_digest: observability.flag("include_params_digest")?,
            max_error_message_chars: observability.small("max_error_message_chars")?,
        },
        profiles,
    })
}

/// The profile that needs no name in the path.
pub(crate) const PUBLIC: &str = "public";

/// Words that have a meaning of their own where a chain's name may stand.
const RESERVED: &[&str] = &["provider", "profile"];

struct Decoder<'a> {
    problems: &'a mut Vec<Problem>,
    warnings: &'a mut Vec<String>,
    hosts: Names,
}

impl Decoder<'_> {
    fn wrong(&mut self, place: &Place, path: &str, wrong: impl Into<String>) {
        self.problems.push(Problem::new(place.clone(), path, wrong));
    }

    /// Two listeners on one port start only one of them.
    fn addresses(&mut self, listen: &Section) {
        let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
        for (name, _) in &listen.fields {
            let Some(address) = listen.address(name) else { continue };
            let meets = |other: &SocketAddr| {
                let everywhere = other.ip().is_unspecified() || address.ip().is_unspecified();
                other.port() == address.port() && (other.ip() == address.ip() || everywhere)
            };
            if let Some((first, other)) = taken.iter().find(|(_, other)| meets(other)) {
                // The one that was written is the one to change.
                let is_default = listen.item(name).is_some_and(|item| item.is_default);
                let (key, there, other) = if is_default { (*first, *name, &address) } else { (*name, *first, other) };
                let wrong = format!("has the port of `listen.{there}`, which is {other}; must have one of its own");
                self.wrong(listen.place_of(key), &format!("{}.{key}", listen.path), wrong);
            }
            taken.push((name, address));
        }
    }

    fn probe_via(&mut self, root: &Section, rpc: SocketAddr) -> ProbeVia {
        match root.text("probe_via") {
            None => ProbeVia::Ours(reached_at(rpc)),
            Some("direct") => ProbeVia::Direct,
            Some(named) => {
                if !is_authority(named) {
                    let wrong = "must be `direct` or an address like `envoy:10000`";
                    self.wrong(root.place_of("probe_via"), "probe_via", wrong);
                }
                ProbeVia::Named(named.to_owned())
            }
        }
    }

    fn calls_via(&mut self, root: &Section, rpc: SocketAddr) -> String {
        let Some(named) = root.text("calls_via") else { return reached_at(rpc).to_string() };
        if !is_authority(named) {
            self.wrong(root.place_of("calls_via"), "calls_via", "must be an address like `envoy:10000`");
        }
        named.to_owned()
    }

    fn profile(&mut self, id: &str, section: &Section, defaults: &Section) -> Option<Profile> {
        if id == "default" {
            self.wrong(&section.place, &section.path, "`default` is another name of `public`; call it `public`");
        }
        let strategy = section.text("strategy").or(defaults.text("strategy"))?;
        let mut names = Names::new("name");
        let mut ids = Names::new("chain id");
        let mut chains = Vec::new();
        for (id, chain) in section.named("chains") {
            self.chain_names(id, chain, &mut names, &mut ids);
            chains.extend(self.chain(id, chain, strategy));
        }
        Some(Profile {
            id: id.to_owned(),
            explore: section.flag("explore").or(defaults.flag("explore"))?,
            methods: methods(section.section("methods")?),
            chains,
        })
    }

    /// A chain is found by its name, its aliases, its id and its hosts: none of them may lead to two.
    fn chain_names(&mut self, id: &str, section: &Section, names: &mut Names, ids: &mut Names) {
        let own_id = section.whole("chain_id").map(|id| id.to_string()).unwrap_or_default();
        self.path_name(id, &section.place, &section.path, &own_id, names);
        for alias in section.list("aliases") {
            if let Some(name) = alias.text() {
                self.path_name(name, &alias.place, &format!("{}.aliases", section.path), &own_id, names);
            }
        }
        let place = section.place_of("chain_id");
        if let Some(wrong) = ids.claim(&own_id, place).filter(|_| !own_id.is_empty()) {
            self.wrong(place, &format!("{}.chain_id", section.path), wrong);
        }
        for host in section.list("hosts") {
            let Some(name) = host.text() else { continue };
            if let Some(wrong) = self.hosts.claim(name, &host.place) {
                self.wrong(&host.place, &format!("{}.hosts", section.path), wrong);
            }
        }
    }

    fn path_name(&mut self, name: &str, place: &Place, path: &str, own_id: &str, names: &mut Names) {
        if STRATEGIES.contains(&name) || RESERVED.contains(&name) {
            let taken = format!("{}, {}", listed(STRATEGIES), listed(RESERVED));
            self.wrong(place, path, format!("`{name}` means something else in a path; any name but {taken}"));
        } else if name.chars().all(|letter| letter.is_ascii_digit()) && name != own_id {
            self.wrong(place, path, format!("`{name}` would be read as a chain id; use a name with a letter"));
        } else if let Some(wrong) = names.claim(name, place) {
            self.wrong(place, path, wrong);
        }
    }

    fn chain(&mut self, id: &str, section: &Section, strategy: &str) -> Option<Chain> {
        let selection = section.section("selection")?;
        let providers = self.providers(section);
        let breaker_section = section.section("breaker")?;
        let breaker = self.breaker(breaker_section)?;
        Some(Chain {
            id: id.to_owned(),
            chain_id: section.whole("chain_id")?,
            aliases: section.texts("aliases"),
            hosts: section.texts("hosts"),
            strategy: section.text("strategy").unwrap_or(strategy).to_owned(),
            block_time_ms: section.millis("block_time"),
            max_lag_blocks: selection.small("max_lag_blocks"),
            archival_after_blocks: selection.small("archival_after_blocks")?,
            breaker,
            sets_breaker: breaker_section.is_written(),
            subscriptions: subscriptions(section.section("subscriptions")?)?,
            providers,
        })
    }

    fn breaker(&mut self, section: &Section) -> Option<BreakerSpec> {
        let recovery = section.section("recovery")?;
        let (min, max) = (recovery.millis("min")?, recovery.millis("max")?);
        if min > max {
            let wrong = "is longer than `recovery.max`; must be at most that";
            self.wrong(recovery.place_of("min"), &format!("{}.min", recovery.path), wrong);
        }
        Some(BreakerSpec {
            failures: section.small("failures")?,
            recovery_min_ms: min,
            recovery_max_ms: max,
            successes: section.small("successes")?,
        })
    }
}

/// Whoever listens everywhere is reached here.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
    SocketAddr::new(ip, address.port())
}

/// Whether that is `host:port`.
fn is_authority(text: &str) -> bool {
    text.parse::<Authority>().is_ok_and(|authority| authority.port_u16().is_some())
}

fn hub(root: &Section) -> Option<Hub> {
    let section = root.section("hub")?;
    Some(Hub {
        max_sockets: section.small("max_sockets")?,
        max_subscriptions: section.small("max_subscriptions")?,
        ws_sockets: root.small("ws_sockets")?,
    })
}

fn subscriptions(section: &Section) -> Option<Subscriptions> {
    let length = |key: &str| section.millis(key).map(|millis| Millis(millis.into()));
    Some(Subscriptions {
        fill: section.flag("fill")?,
        max_fill_blocks: section.small("max_fill_blocks")?,
        fill_timeout: length("fill_timeout")?,
        subscribe_timeout: length("subscribe_timeout")?,
        stale_after: length("stale_after"),
        linger: length("linger")?,
    })
}

fn methods(section: &Section) -> MethodRulesSpec {
    MethodRulesSpec {
        block: section.texts("block"),
        allow: section.texts("allow"),
        timeouts_ms: rows(section.table("timeouts"), Item::millis),
        strategies: rows(section.table("strategies"), |item| item.text().map(str::to_owned)),
        confirm_null: section.texts("confirm_null"),
        broadcast: section.small("broadcast").unwrap_or(1),
    }
}

/// Names that may stand once.
struct Names {
    what: &'static str,
    taken: BTreeMap<String, Place>,
}

impl Names {
    fn new(what: &'static str) -> Self {
        Self { what, taken: BTreeMap::new() }
    }

    /// Takes a name; says what is wrong when somebody has it.
    fn claim(&mut self, name: &str, place: &Place) -> Option<String> {
        let wrong = self.taken.get(name).map(|first| {
            let line = format!("{}:{}", first.file, first.line);
            format!("the {} `{name}` is taken at {line}; must be unique", self.what)
        });
        self.taken.entry(name.to_owned()).or_insert_with(|| place.clone());
        wrong
    }
}

fn rows<T>(rows: &[(String, Item)], value: impl Fn(&Item) -> Option<T>) -> BTreeMap<String, T> {
    rows.iter().filter_map(|(key, item)| Some((key.clone(), value(item)?))).collect()
}
