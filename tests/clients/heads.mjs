// heads.mjs URL COUNT CONTRACT: listens with viem and ethers on sockets of their own and prints what each was told of COUNT blocks, and of the
// contract's logs in them. Says "listening" when each of them was told of a first block and log.
import { WebSocketProvider } from 'ethers';
import { createPublicClient, webSocket } from 'viem';

const [url, count, contract] = process.argv.slice(2);
const told = { viem: [], viemLogs: [], ethers: [], ethersLogs: [] };
const failed = (error) => { console.error(error); process.exit(1); };

const client = createPublicClient({ transport: webSocket(url, { retryCount: 0, reconnect: false }), pollingInterval: 100 });
client.watchBlockNumber({ onBlockNumber: (number) => told.viem.push(`${number}`), onError: failed });
client.watchEvent({ address: contract, onLogs: (logs) => told.viemLogs.push(...logs.map((log) => `${log.blockNumber} ${log.logIndex}`)), onError: failed });

const provider = new WebSocketProvider(url);
// Before it knows the network it cannot tell events.
await provider.getNetwork();
await provider.on('block', (number) => told.ethers.push(`${number}`));
await provider.on({ address: contract }, (log) => told.ethersLogs.push(`${log.blockNumber} ${log.index}`));

const late = setTimeout(() => failed(`only ${JSON.stringify(told)}`), 25_000);
const all = (least) => Object.entries(told).every(([name, list]) => list.length >= least[name]);
const look = (least, then) => {
  const looks = setInterval(() => {
    if (!all(least)) return;
    clearInterval(looks);
    then();
  }, 20);
};
look({ viem: 1, viemLogs: 1, ethers: 1, ethersLogs: 1 }, () => {
  const least = Object.fromEntries(Object.entries(told).map(([name, list]) => [name, list.length + Number(count)]));
  console.log('listening');
  look(least, () => {
    clearTimeout(late);
    console.log(JSON.stringify(told));
    process.exit(0);
  });
});
