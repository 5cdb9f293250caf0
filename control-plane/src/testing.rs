//! What tests of several modules need.

pub(crate) mod fleet;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::compile::Tokens;
use crate::config::{Content, Loaded, Node, Problems, load, parse};
use crate::xds::resources::Site;
use crate::xds::resources::filters::FilterFile;

/// A directory of its own for one test, removed when it ends.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("lasso-config-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        for (name, text) in files {
            std::fs::write(path.join(name), text).unwrap();
        }
        Self(path)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What is loaded, or the problems as they are printed, with paths as in this directory.
    pub(crate) fn load(&self, name: &str) -> Result<Loaded, String> {
        let environment = |name: &str| match name {
            "KEY" => Some("env-canary".to_owned()),
            _ => None,
        };
        load(&self.0.join(name), &environment)
            .map_err(|problems| problems.to_string().replace(&format!("{}/", self.0.display()), ""))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn load_text(text: &str) -> Result<Loaded, String> {
    Directory::with(&[("lasso.yaml", text)]).load("lasso.yaml")
}

/// A YAML file of this repository, with numbers and flags where Envoy reads them.
pub(crate) fn yaml_of(path: &str) -> Value {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap();
    let mut problems = Problems::none();
    let root = parse(&path.into(), &text, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    value_of(&root.unwrap())
}

fn value_of(node: &Node) -> Value {
    match &node.content {
        Content::Nothing => Value::Null,
        Content::Scalar(text) => match text.parse::<serde_json::Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => text.parse().map_or_else(|_| Value::String(text.clone()), Value::Bool),
        },
        Content::List(items) => items.iter().map(value_of).collect(),
        Content::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), value_of(&entry.value))).collect(),
    }
}

/// Two profiles, one chain each, with a provider in common; secrets are called canary.
pub(crate) const SMALL: &str = "\
listen: {rpc: '127.0.0.1:10000'}
profiles:
  beta:
    chains:
      ethereum:
        chain_id: 1
        providers:
          - {id: shared, url: 'https://a.example/v2/canary?key=canary'}
          - {id: own, url: 'http://127.0.0.1:8545/canary', headers: {x-key: canary}}
  public:
    methods: {timeouts: {debug_*: 2m}}
    chains:
      ethereum:
        chain_id: 1
        aliases: [mainnet]
        providers:
          - {id: a, url: 'https://a.example/v2/canary?key=canary'}
          - {id: b, url: 'https://192.0.2.1:8443/canary'}
";

/// [`SMALL`], and two of its providers also over WebSocket.
pub(crate) const SOCKETS: &str = "\
listen: {rpc: '127.0.0.1:10000'}
profiles:
  beta:
    chains:
      ethereum:
        chain_id: 1
        providers:
          - {id: shared, url: 'https://a.example/v2/canary?key=canary', ws_url: 'wss://a.example/v2/wscanary'}
          - {id: own, url: 'http://127.0.0.1:8545/canary', ws_url: 'ws://127.0.0.1:8546/wscanary', headers: {x-key: canary}}
  public:
    methods: {timeouts: {debug_*: 2m}}
    chains:
      ethereum:
        chain_id: 1
        aliases: [mainnet]
        providers:
          - {id: a, url: 'https://a.example/v2/canary?key=canary', ws_url: 'wss://a.example/v2/wscanary'}
          - {id: b, url: 'https://192.0.2.1:8443/canary'}
";

/// Both tokens, of these bytes.
pub(crate) fn tokens(bytes: [u8; 16]) -> Tokens {
    Tokens { probe: bytes.into(), hub: bytes.map(|byte| byte.wrapping_add(1)).into() }
}

pub(crate) fn site() -> Site {
    site_with("/etc/lasso/filter.wasm")
}

/// The same with this filter.
pub(crate) fn site_with(filter: &str) -> Site {
    Site { filter: FilterFile::named(filter.into()).unwrap(), ca_bundle: "/etc/ssl/ca.crt".into(), access_log: None }
}
