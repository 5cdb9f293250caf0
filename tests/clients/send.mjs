// send.mjs URL: signs a transfer here, sends it through URL with viem and prints how it ended.
import { createPublicClient, createWalletClient, http } from 'viem';
import { mnemonicToAccount } from 'viem/accounts';

const transport = http(process.argv[2], { retryCount: 0 });
// The mnemonic that every anvil starts with.
const account = mnemonicToAccount('test test test test test test test test test test test junk');
const reader = createPublicClient({ transport, pollingInterval: 50 });
const writer = createWalletClient({ account, transport });
const hash = await writer.sendTransaction({ chain: null, to: account.address, value: 1n });
const receipt = await reader.waitForTransactionReceipt({ hash });
console.log(JSON.stringify({ status: receipt.status, same: receipt.transactionHash === hash }));
