// ethers.mjs URL CONTRACT REVERTER TRANSACTION: reads a chain with ethers and prints everything it was told, a line for each read.
import { JsonRpcProvider, id } from 'ethers';

const [url, contract, reverter, transaction] = process.argv.slice(2);
const provider = new JsonRpcProvider(url, undefined, { cacheTimeout: -1 });
const account = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';

const failure = (error) => ({ code: error.code, reason: error.reason, data: error.data, said: error.info?.error ?? error.error });

async function told(reads) {
  const names = Object.keys(reads);
  // All at once: ethers then sends them as batches.
  const ends = await Promise.allSettled(names.map((name) => reads[name]()));
  return Object.fromEntries(names.map((name, at) => {
    const end = ends[at];
    return [name, end.status === 'fulfilled' ? { value: end.value } : { error: failure(end.reason) }];
  }));
}

const out = await told({
  network: async () => (await provider.getNetwork()).chainId,
  blockNumber: () => provider.getBlockNumber(),
  block: () => provider.getBlock(2),
  withTransactions: async () => (await provider.getBlock(2, true)).prefetchedTransactions,
  missingBlock: () => provider.getBlock(10_000),
  balance: () => provider.getBalance(account),
  oldBalance: () => provider.getBalance(account, 1),
  nonce: () => provider.getTransactionCount(account),
  code: () => provider.getCode(contract),
  storage: () => provider.getStorage(contract, 0),
  transaction: () => provider.getTransaction(transaction),
  receipt: () => provider.getTransactionReceipt(transaction),
  missingReceipt: () => provider.getTransactionReceipt(id('nothing')),
  logs: () => provider.getLogs({ address: contract, fromBlock: 0 }),
  call: () => provider.call({ to: contract }),
  revert: () => provider.call({ to: reverter }),
  estimate: () => provider.estimateGas({ from: account, to: contract }),
  feeData: () => provider.getFeeData(),
  invalidParams: () => provider.send('eth_getBalance', ['0x12', 'latest']),
  unknownMethod: () => provider.send('acme_nothing', []),
  manyBlocks: () => Promise.all(Array.from({ length: 150 }, (_, at) => provider.getBlock(at % 4))),
});
const whole = (_, value) => typeof value === 'bigint' ? `${value}n` : value;
for (const [name, end] of Object.entries(out)) console.log(name, JSON.stringify(end, whole));
provider.destroy();
