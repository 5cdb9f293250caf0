// viem.mjs URL CONTRACT REVERTER TRANSACTION: reads a chain with viem and prints everything it was told, a line for each read.
// A ws:// URL is asked on a socket.
import { createPublicClient, http, webSocket } from 'viem';

const [url, contract, reverter, transaction] = process.argv.slice(2);
const transport = (options) => url.startsWith('ws') ? webSocket(url, { ...options, batch: undefined, reconnect: false }) : http(url, options);
const client = createPublicClient({ transport: transport({ retryCount: 0 }) });
const batched = createPublicClient({ transport: transport({ retryCount: 0, batch: true }) });
const account = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';

// What a program sees of a failure, without the URL that viem puts into its long message.
function failure(error) {
  const cause = error.walk?.((e) => e.code !== undefined) ?? error;
  return { name: error.name, code: cause.code, details: error.details, data: cause.data };
}

async function told(reads) {
  const out = {};
  for (const [name, read] of Object.entries(reads)) {
    out[name] = await read().then((value) => ({ value }), (error) => ({ error: failure(error) }));
  }
  return out;
}

const out = await told({
  chainId: () => client.getChainId(),
  blockNumber: () => client.getBlockNumber({ cacheTime: 0 }),
  latest: () => client.getBlock(),
  withTransactions: () => client.getBlock({ blockNumber: 2n, includeTransactions: true }),
  finalized: () => client.getBlock({ blockTag: 'finalized' }),
  missingBlock: () => client.getBlock({ blockNumber: 10_000n }),
  balance: () => client.getBalance({ address: account }),
  oldBalance: () => client.getBalance({ address: account, blockNumber: 1n }),
  nonce: () => client.getTransactionCount({ address: account }),
  code: () => client.getCode({ address: contract }),
  noCode: () => client.getCode({ address: account }),
  storage: () => client.getStorageAt({ address: contract, slot: '0x0' }),
  transaction: () => client.getTransaction({ hash: transaction }),
  receipt: () => client.getTransactionReceipt({ hash: transaction }),
  missingReceipt: () => client.getTransactionReceipt({ hash: `0x${'11'.repeat(32)}` }),
  logs: () => client.getLogs({ address: contract, fromBlock: 0n, toBlock: 'latest' }),
  noLogs: () => client.getLogs({ address: account, fromBlock: 0n, toBlock: 'latest' }),
  call: () => client.call({ to: contract }),
  revert: () => client.call({ to: reverter }),
  estimate: () => client.estimateGas({ account, to: contract }),
  estimateRevert: () => client.estimateGas({ account, to: reverter }),
  gasPrice: () => client.getGasPrice(),
  feeHistory: () => client.getFeeHistory({ blockCount: 3, rewardPercentiles: [50] }),
  proof: () => client.getProof({ address: contract, storageKeys: ['0x0'], blockTag: 'latest' }),
  invalidParams: () => client.request({ method: 'eth_getBalance', params: ['0x12', 'latest'] }),
  unknownMethod: () => client.request({ method: 'acme_nothing', params: [] }),
  filter: async () => {
    const filter = await client.createEventFilter({ address: contract, fromBlock: 0n });
    const logs = await client.getFilterLogs({ filter });
    return { logs: logs.length, gone: await client.uninstallFilter({ filter }) };
  },
  batch: () => Promise.all([0n, 1n, 2n, 3n].map((blockNumber) => batched.getBlock({ blockNumber }))),
  batchWithFailure: () => Promise.allSettled([batched.getBalance({ address: account }), batched.call({ to: reverter })])
    .then((all) => all.map((one) => one.status === 'fulfilled' ? one.value : failure(one.reason))),
});
const whole = (_, value) => typeof value === 'bigint' ? `${value}n` : value;
for (const [name, end] of Object.entries(out)) console.log(name, JSON.stringify(end, whole));
// A socket would keep the program alive.
process.exit(0);
