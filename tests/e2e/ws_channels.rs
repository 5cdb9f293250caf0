//! Providers' sockets carry calls, too: ranked beside HTTP by the same evidence, and each stands in for the other.

use lasso_tests::{ACCOUNT, Answer, Client, Fault, FaultProxy, MadeChain, SocketFault, wait};
use serde_json::{Value, json};

use crate::ws_stand::{SECOND, Stand, Wanted};

const METHOD: &str = "eth_getBalance";

async fn stand(count: usize, strategy: &'static str) -> Stand {
    let chain = MadeChain::new(1);
    let mut providers = Vec::new();
    for _ in 0..count {
        providers.push(FaultProxy::of_chain(&chain).await.unwrap());
    }
    Stand::of(1, providers, &Wanted { strategy, ..Wanted::default() }).await
}

async fn ask(stand: &Stand, query: &str) -> Value {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": METHOD, "params": [ACCOUNT, "latest"]});
    stand.mesh.post(&format!("/rpc/ethereum{query}"), call.to_string()).await.unwrap().json()
}

/// Calls that came over HTTP and over sockets, over all providers.
fn counted(stand: &Stand) -> (u64, u64) {
    let http = stand.providers.iter().map(|provider| provider.count(METHOD)).sum();
    (http, stand.providers.iter().map(|provider| provider.count_ws(METHOD)).sum())
}

/// A socket serves once it has been up for five seconds.
async fn until_sockets_serve(stand: &Stand) {
    let serves = || async { ask(stand, "?transport=ws").await["result"].is_string().then_some(()) };
    wait::until("a call over a socket", 20 * SECOND, serves).await.unwrap();
    let all = || async {
        for provider in &stand.providers {
            provider.heal();
        }
        for index in 0..stand.providers.len() {
            let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{METHOD}","params":["{ACCOUNT}","latest"]}}"#);
            let path = format!("/rpc/provider/p{index}/ethereum?transport=ws");
            stand.mesh.post(&path, call).await.ok()?.result()?;
        }
        Some(())
    };
    wait::until("every provider to serve over its sockets", 20 * SECOND, all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transport_that_is_asked_for_is_taken() {
    let stand = stand(1, "priority").await;
    until_sockets_serve(&stand).await;
    stand.providers[0].heal();
    for _ in 0..10 {
        assert!(ask(&stand, "?transport=ws").await["result"].is_string());
    }
    assert_eq!(counted(&stand), (0, 10));
    for _ in 0..10 {
        assert!(ask(&stand, "?transport=http").await["result"].is_string());
    }
    assert_eq!(counted(&stand), (10, 10));
    let meta = ask(&stand, "?transport=ws&include_meta=body").await;
    assert_eq!(meta["lasso_meta"]["selected_provider"]["protocol"], "ws", "{meta}");
    let asked = stand.providers[0].requests();
    assert!(
        !asked.iter().any(|request| request.header("x-lasso-hub-token").is_some()),
        "the hub's token left the house"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_faster_transport_of_a_provider_gets_its_calls() {
    let stand = stand(1, "fastest").await;
    until_sockets_serve(&stand).await;
    stand.providers[0].set([Fault::latency(5).over_ws(), Fault::latency(50).over_http()]);
    let mut asked = 0;
    let learned = || {
        let (http, ws) = counted(&stand);
        asked += 50;
        let stand = &stand;
        async move {
            for _ in 0..50 {
                assert!(ask(stand, "").await["result"].is_string());
            }
            let (http, ws) = (counted(stand).0 - http, counted(stand).1 - ws);
            (ws * 100 >= 95 * (http + ws)).then_some(())
        }
    };
    wait::until("the socket's speed to be learned", 60 * SECOND, learned).await.unwrap();
    stand.providers[0].heal();
    stand.providers[0].set([Fault::latency(5).over_ws(), Fault::latency(50).over_http()]);
    for _ in 0..400 {
        assert!(ask(&stand, "").await["result"].is_string());
    }
    let (http, ws) = counted(&stand);
    println!("learned after {asked} calls; then {ws} over sockets, {http} over HTTP");
    assert!(ws * 100 >= 95 * (http + ws), "{ws} over sockets, {http} over HTTP");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_of_http_dead_its_clients_are_served_over_sockets() {
    let stand = stand(2, "fastest").await;
    until_sockets_serve(&stand).await;
    for provider in &stand.providers {
        provider.set([Fault::answer(Answer::Reset).over_http()]);
    }
    for call in 0..300 {
        let reply = ask(&stand, "").await;
        assert!(reply["result"].is_string(), "call {call}: {reply}");
    }
    assert!(counted(&stand).1 >= 300, "{:?}", counted(&stand));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_sockets_dead_or_frozen_calls_go_over_http() {
    let stand = stand(2, "fastest").await;
    until_sockets_serve(&stand).await;
    let refused = SocketFault::Refuse { status: 503, retry_after: None };
    for fault in [refused, SocketFault::Freeze] {
        for provider in &stand.providers {
            provider.heal();
            // Sockets look best until they are gone.
            provider.set([Fault::latency(40).over_http()]);
        }
        until_sockets_serve(&stand).await;
        for provider in &stand.providers {
            let frozen = fault == SocketFault::Freeze;
            provider.set([Fault::socket(fault.clone())]);
            if !frozen {
                provider.reset_sockets();
            }
        }
        for call in 0..300 {
            let reply = ask(&stand, "").await;
            assert!(reply["result"].is_string(), "{fault:?}, call {call}: {reply}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_breaks_under_load_loses_no_read() {
    let stand = stand(2, "fastest").await;
    until_sockets_serve(&stand).await;
    for provider in &stand.providers {
        provider.set([Fault::latency(20)]);
    }
    let load = crate::load::Load::start(16, &stand.mesh.url("/rpc/ethereum"), METHOD, &json!([ACCOUNT, "latest"]));
    load.more(300).await;
    for _ in 0..5 {
        for provider in &stand.providers {
            provider.reset_sockets();
            load.more(100).await;
        }
    }
    load.end_without_loss().await;
}

/// A write on a socket that breaks may have happened: its client is told so, and nobody else gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_on_a_socket_that_breaks_is_not_sent_again() {
    let stand = stand(2, "priority").await;
    until_sockets_serve(&stand).await;
    for provider in &stand.providers {
        provider.set([Fault::answer(Answer::Reset).on("eth_sendRawTransaction").over_ws()]);
    }
    let write = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#;
    let reply = Client::new().post(&stand.mesh.url("/rpc/ethereum?transport=ws"), write).await.unwrap();
    assert!(reply.text().contains("indeterminate"), "{}", reply.text());
    let sent =
        |provider: &FaultProxy| provider.count("eth_sendRawTransaction") + provider.count_ws("eth_sendRawTransaction");
    assert_eq!(stand.providers.iter().map(sent).sum::<u64>(), 1);
}
