//! A `lasso.yaml` for a test.
//!
//! Invariant: YAML of the documented shape and nothing else; whatever a test needs beyond providers it writes as YAML lines itself.

use std::fmt::Write as _;

use crate::FaultProxy;

/// The ports of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    /// Envoy's listener.
    pub rpc: u16,
    /// The control plane.
    pub xds: u16,
    /// Its hub.
    pub hub: u16,
    /// Its API.
    pub http: u16,
}

/// One chain and its providers.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    name: String,
    chain_id: u64,
    lines: Vec<String>,
    providers: Vec<(String, String, Vec<String>)>,
}

impl ChainConfig {
    /// A chain without providers.
    pub fn new(name: &str, chain_id: u64) -> Self {
        Self { name: name.to_owned(), chain_id, lines: Vec::new(), providers: Vec::new() }
    }

    /// One more provider, behind the earlier ones in priority.
    #[must_use]
    pub fn provider(self, id: &str, url: &str) -> Self {
        self.provider_with(id, url, &[])
    }

    /// One more provider with more YAML lines of its own.
    #[must_use]
    pub fn provider_with(mut self, id: &str, url: &str, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.providers.push((id.to_owned(), url.to_owned(), lines));
        self
    }

    /// One more provider that answers over HTTP and WebSocket.
    #[must_use]
    pub fn provider_on(self, id: &str, proxy: &FaultProxy) -> Self {
        self.provider_on_with(id, proxy, &[])
    }

    /// The same with more YAML lines of its own.
    #[must_use]
    pub fn provider_on_with(self, id: &str, proxy: &FaultProxy, lines: &[&str]) -> Self {
        let ws_url = format!("ws_url: \"{}\"", proxy.ws_url("/"));
        let lines: Vec<&str> = [ws_url.as_str()].into_iter().chain(lines.iter().copied()).collect();
        self.provider_with(id, &proxy.url("/"), &lines)
    }

    /// A YAML line of the chain.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Debug, Clone, Default)]
struct Profile {
    lines: Vec<String>,
    chains: Vec<ChainConfig>,
}

/// A whole configuration. The default strategy is `priority`, so that a test knows who is asked first.
#[derive(Debug, Clone, Default)]
pub struct Config {
    public: Profile,
    /// The others, by name. What is added goes to the last one.
    others: Vec<(String, Profile)>,
    strategy: Option<String>,
    explore: bool,
    top: Vec<String>,
}

impl Config {
    /// No chain yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more chain.
    #[must_use]
    pub fn chain(mut self, chain: ChainConfig) -> Self {
        self.last().chains.push(chain);
        self
    }

    /// Another profile than `public`; chains and lines that follow are its own.
    #[must_use]
    pub fn profile(mut self, name: &str) -> Self {
        self.others.push((name.to_owned(), Profile::default()));
        self
    }

    fn last(&mut self) -> &mut Profile {
        self.others.last_mut().map_or(&mut self.public, |(_, profile)| profile)
    }

    /// Another default strategy.
    #[must_use]
    pub fn strategy(mut self, strategy: &str) -> Self {
        self.strategy = Some(strategy.to_owned());
        self
    }

    /// Providers that nobody asked for a while are asked now and then. Off otherwise: a test expects them to be left alone.
    #[must_use]
    pub fn exploring(mut self) -> Self {
        self.explore = true;
        self
    }

    /// A YAML line outside of profiles.
    #[must_use]
    pub fn top_line(mut self, line: &str) -> Self {
        self.top.push(line.to_owned());
        self
    }

    /// A YAML line of the profile.
    #[must_use]
    pub fn profile_line(mut self, line: &str) -> Self {
        self.last().lines.push(line.to_owned());
        self
    }

    /// The text, with these ports.
    pub fn yaml(&self, Listen { rpc, xds, hub, http }: Listen) -> String {
        let mut out = "listen:\n".to_owned();
        for (key, port) in [("rpc", rpc), ("xds", xds), ("hub", hub), ("http", http)] {
            let _ = writeln!(out, "  {key}: 127.0.0.1:{port}");
        }
        for line in &self.top {
            let _ = writeln!(out, "{line}");
        }
        let strategy = self.strategy.as_deref().unwrap_or("priority");
        let _ = writeln!(out, "defaults: {{strategy: {strategy}, explore: {}}}", self.explore);
        out.push_str("profiles:\n");
        self.public.write("public", &mut out);
        for (name, profile) in &self.others {
            profile.write(name, &mut out);
        }
        out
    }
}

impl Profile {
    fn write(&self, name: &str, out: &mut String) {
        let _ = writeln!(out, "  {name}:");
        for line in &self.lines {
            let _ = writeln!(out, "    {line}");
        }
        out.push_str("    chains:\n");
        for chain in &self.chains {
            let _ = writeln!(out, "      {}:\n        chain_id: {}", chain.name, chain.chain_id);
            for line in &chain.lines {
                let _ = writeln!(out, "        {line}");
            }
            out.push_str("        providers:\n");
            for (priority, (id, url, lines)) in (1..).zip(&chain.providers) {
                let _ =
                    writeln!(out, "          - id: {id}\n            url: \"{url}\"\n            priority: {priority}");
                for line in lines {
                    let _ = writeln!(out, "            {line}");
                }
            }
        }
    }
}
