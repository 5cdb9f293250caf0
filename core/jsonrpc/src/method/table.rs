//! The table of methods. One line a method; a test keeps it sorted, which the lookup rests on.
//!
//! Deadlines come from the production values of the Elixir Lasso, raised to 3 s at least; methods it did not list have those of
//! their nearest relative. Block params and their defaults are those of the execution API specification and of geth, Erigon
//! (`trace_*`) and reth.

use super::{FilterOp, LocalAnswer, Safety};
use crate::block::BlockParam;

/// What a method is like, one bit each.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trait {
    HeavyTailed = 1,
    ReadsHead = 2,
    Cheap = 4,
    WebSocketOnly = 8,
    ConfirmsNull = 16,
    StateRead = 32,
    AnswersBlock = 64,
}

/// One method, or one namespace's default.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) deadline: u32,
    pub(super) safety: Safety,
    pub(super) block: BlockParam,
    pub(super) local: Option<LocalAnswer>,
    pub(super) filter: Option<FilterOp>,
    traits: u8,
}

impl Row {
    pub(super) const fn has(&self, wanted: Trait) -> bool {
        self.traits & wanted as u8 != 0
    }

    const fn new(name: &'static str, deadline: u32, safety: Safety) -> Self {
        Self { name, deadline, safety, block: BlockParam::Absent, local: None, filter: None, traits: 0 }
    }

    const fn with(mut self, added: Trait) -> Self {
        self.traits |= added as u8;
        self
    }

    /// Param `index` is a block; it may be left out and is `latest` then.
    const fn at(mut self, index: usize) -> Self {
        self.block = BlockParam::OrLatest(index);
        self
    }

    /// Param `index` is a block and must be there.
    const fn of(mut self, index: usize) -> Self {
        self.block = BlockParam::Required(index);
        self
    }

    const fn block(mut self, block: BlockParam) -> Self {
        self.block = block;
        self
    }

    const fn local(mut self, answer: LocalAnswer) -> Self {
        self.local = Some(answer);
        self
    }

    const fn heavy(self) -> Self {
        self.with(Trait::HeavyTailed)
    }

    const fn state(self) -> Self {
        self.with(Trait::StateRead)
    }

    const fn head(self) -> Self {
        self.with(Trait::ReadsHead)
    }

    const fn confirms_null(self) -> Self {
        self.with(Trait::ConfirmsNull)
    }

    const fn answers_block(self) -> Self {
        self.with(Trait::AnswersBlock)
    }
}

/// Three seconds, replay-safe, fit for trying a channel out.
const fn light(name: &'static str) -> Row {
    Row::new(name, 3_000, Safety::Replay).with(Trait::Cheap)
}

const fn read(name: &'static str, deadline: u32) -> Row {
    Row::new(name, deadline, Safety::Replay)
}

const fn once(name: &'static str, deadline: u32) -> Row {
    Row::new(name, deadline, Safety::Once)
}

const fn filter(name: &'static str, op: FilterOp) -> Row {
    let mut row = Row::new(name, 5_000, Safety::Filter);
    row.filter = Some(op);
    row
}

/// Traces: heavy, and made by running code on old state.
const fn trace(name: &'static str, deadline: u32) -> Row {
    read(name, deadline).heavy().state()
}

const TRACE_MS: u32 = 30_000;
/// Deadline of the tracing of a whole block.
pub(super) const TRACE_BLOCK_MS: u32 = 45_000;

pub(super) const KNOWN: &[Row] = &[
    read("debug_getRawBlock", 10_000).heavy().of(0),
    read("debug_getRawHeader", 10_000).heavy().of(0),
    read("debug_getRawReceipts", 10_000).heavy().of(0),
    read("debug_getRawTransaction", 10_000).heavy(),
    read("debug_storageRangeAt", 10_000).heavy().state().of(0),
    trace("debug_traceBlock", TRACE_BLOCK_MS),
    trace("debug_traceBlockByHash", TRACE_BLOCK_MS).of(0),
    trace("debug_traceBlockByNumber", TRACE_BLOCK_MS).of(0),
    trace("debug_traceCall", TRACE_MS).at(1),
    trace("debug_traceTransaction", TRACE_MS),
    light("eth_blobBaseFee").head(),
    light("eth_blockNumber").head(),
    read("eth_call", 5_000).with(Trait::Cheap).state().at(1),
    light("eth_chainId").local(LocalAnswer::ChainId),
    read("eth_createAccessList", 5_000).state().at(1),
    read("eth_estimateGas", 5_000).heavy().state().at(1),
    light("eth_feeHistory").at(1),
    light("eth_gasPrice").head(),
    light("eth_getAccount").state().at(1),
    light("eth_getBalance").state().at(1),
    light("eth_getBlockByHash").confirms_null().answers_block().of(0),
    light("eth_getBlockByNumber").confirms_null().answers_block().of(0),
    read("eth_getBlockReceipts", 5_000).confirms_null().of(0),
    light("eth_getBlockTransactionCountByHash").of(0),
    light("eth_getBlockTransactionCountByNumber").of(0),
    light("eth_getCode").state().at(1),
    filter("eth_getFilterChanges", FilterOp::Use),
    filter("eth_getFilterLogs", FilterOp::Use),
    light("eth_getHeaderByHash").answers_block().of(0),
    light("eth_getHeaderByNumber").answers_block().of(0),
    read("eth_getLogs", 5_000).heavy().block(BlockParam::LogFilter),
    read("eth_getProof", 10_000).heavy().state().at(2),
    light("eth_getRawTransactionByBlockHashAndIndex").of(0),
    light("eth_getRawTransactionByBlockNumberAndIndex").of(0),
    light("eth_getRawTransactionByHash"),
    light("eth_getStorageAt").state().at(2),
    light("eth_getTransactionByBlockHashAndIndex").of(0),
    light("eth_getTransactionByBlockNumberAndIndex").of(0),
    light("eth_getTransactionByHash").confirms_null(),
    light("eth_getTransactionCount").state().at(1),
    light("eth_getTransactionReceipt").confirms_null(),
    light("eth_getUncleByBlockHashAndIndex").of(0),
    light("eth_getUncleByBlockNumberAndIndex").of(0),
    light("eth_getUncleCountByBlockHash").of(0),
    light("eth_getUncleCountByBlockNumber").of(0),
    light("eth_maxPriorityFeePerGas").head(),
    filter("eth_newBlockFilter", FilterOp::Create),
    filter("eth_newFilter", FilterOp::Create).block(BlockParam::LogFilter),
    filter("eth_newPendingTransactionFilter", FilterOp::Create),
    light("eth_protocolVersion"),
    Row::new("eth_sendRawTransaction", 5_000, Safety::Broadcast),
    read("eth_simulateV1", 10_000).state().at(1),
    once("eth_subscribe", 10_000).with(Trait::WebSocketOnly),
    light("eth_syncing"),
    filter("eth_uninstallFilter", FilterOp::Use),
    once("eth_unsubscribe", 10_000).with(Trait::WebSocketOnly),
    light("net_listening"),
    light("net_peerCount"),
    light("net_version").local(LocalAnswer::NetVersion),
    trace("trace_block", TRACE_MS).of(0),
    trace("trace_call", TRACE_MS).at(2),
    trace("trace_callMany", TRACE_MS).at(1),
    trace("trace_filter", TRACE_MS).block(BlockParam::TraceFilter),
    trace("trace_get", TRACE_MS),
    trace("trace_rawTransaction", TRACE_MS),
    trace("trace_replayBlockTransactions", TRACE_MS).of(0),
    trace("trace_replayTransaction", TRACE_MS),
    trace("trace_transaction", TRACE_MS),
    read("txpool_content", 10_000),
    read("txpool_contentFrom", 10_000),
    read("txpool_inspect", 10_000),
    read("txpool_status", 10_000),
    light("web3_clientVersion"),
    light("web3_sha3"),
];

/// What holds for a method of the namespace that is not in [`KNOWN`]. Once: `debug_setHead` is a method too.
pub(super) const NAMESPACES: &[Row] = &[
    once("alchemy_*", 10_000),
    once("arb_*", 10_000),
    once("arbtrace_*", 10_000),
    once("bor_*", 10_000),
    once("debug_*", 10_000).heavy(),
    once("erigon_*", 10_000),
    once("eth_*", 10_000),
    once("linea_*", 10_000),
    once("net_*", 3_000),
    once("optimism_*", 10_000),
    once("ots_*", 10_000),
    once("parity_*", 10_000),
    once("qn_*", 10_000),
    once("trace_*", TRACE_MS).heavy(),
    once("txpool_*", 10_000),
    once("web3_*", 10_000),
    once("zkevm_*", 10_000),
    once("zks_*", 10_000),
];

pub(super) static UNKNOWN: Row = once("other", 10_000);

/// What is refused unless the operator allows it. None of [`KNOWN`] matches.
pub(super) const BLOCKED: &[&str] = &[
    "eth_sendTransaction",
    "eth_sign*",
    "eth_accounts",
    "personal_*",
    "wallet_*",
    "admin_*",
    "miner_*",
    "engine_*",
    "eth_coinbase",
    "eth_submit*",
    "eth_getWork",
];
