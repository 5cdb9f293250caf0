//! A provider behind TLS, and who vouches for it.
//!
//! Duty: speak TLS with ALPN as a provider on the public internet does (HTTP/2 or 1.1, as the client likes), answer every call with
//! one result, and remember what handshakes said.
//! Invariant: listens on 127.0.0.1 only; keys live in memory and as long as a test.
//! Leaves to others: misbehaving above TLS ([`crate::FaultProxy`]).

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, Version, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{free_port, loopback};

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// One that nobody knows yet.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its own certificate, for a bundle.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    fn server(&self, name: &str) -> anyhow::Result<ServerConfig> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &self.issuer)?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = config.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// What a provider behind TLS saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// Server names of the handshakes that were completed.
    pub server_names: Vec<String>,
    /// What ALPN agreed on, in the same order.
    pub protocols: Vec<String>,
    /// Handshakes that the other side broke off.
    pub broken: u64,
    /// Requests: HTTP version, authority, path.
    pub requests: Vec<(Version, String, String)>,
}

/// A provider behind TLS. Dropping it closes its port.
#[derive(Debug)]
pub struct TlsProvider {
    address: SocketAddr,
    seen: Arc<Mutex<Handshakes>>,
    _tasks: JoinSet<()>,
}

impl TlsProvider {
    /// A provider whose certificate is for `name`, and which answers every call with `result`.
    pub async fn start(authority: &Authority, name: &str, result: Value) -> anyhow::Result<Self> {
        let address = loopback(free_port());
        let listener = TcpListener::bind(address).await.with_context(|| format!("{address} is taken"))?;
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(name)?));
        let seen = Arc::new(Mutex::new(Handshakes::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(let_in(listener, acceptor, Arc::clone(&seen), result));
        Ok(Self { address, seen, _tasks: tasks })
    }

    /// Its URL under a host name that must lead to this machine.
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.address.port())
    }

    /// What it saw so far.
    pub fn seen(&self) -> Handshakes {
        lock(&self.seen).clone()
    }
}

fn lock(seen: &Mutex<Handshakes>) -> MutexGuard<'_, Handshakes> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn let_in(listener: TcpListener, acceptor: TlsAcceptor, seen: Arc<Mutex<Handshakes>>, result: Value) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&seen), result.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, seen: Arc<Mutex<Handshakes>>, result: Value) {
    let Ok(stream) = acceptor.accept(stream).await else {
        lock(&seen).broken += 1;
        return;
    };
    {
        let (_, session) = stream.get_ref();
        let mut seen = lock(&seen);
        seen.server_names.push(session.server_name().unwrap_or_default().to_owned());
        seen.protocols.push(String::from_utf8_lossy(session.alpn_protocol().unwrap_or_default()).into_owned());
    }
    let service = service_fn(move |request| answer(request, Arc::clone(&seen), result.clone()));
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Handshakes>>,
    result: Value,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let host = head.headers.get("host").and_then(|host| host.to_str().ok());
    let authority = head.uri.authority().map(ToString::to_string).or(host.map(str::to_owned)).unwrap_or_default();
    lock(&seen).requests.push((head.version, authority, head.uri.path().to_owned()));
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let id = serde_json::from_slice::<Value>(&body).ok().and_then(|call| call.get("id").cloned());
    let reply = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    Ok(Response::new(Full::new(Bytes::from(reply))))
}
