"""web3_reads.py URL CONTRACT REVERTER TRANSACTION: reads a chain with web3.py and prints everything it was told, a line for each read."""

import sys

from web3 import Web3

url, contract, reverter, transaction = sys.argv[1:]
w3 = Web3(Web3.HTTPProvider(url, exception_retry_configuration=None))
account = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
contract, reverter = Web3.to_checksum_address(contract), Web3.to_checksum_address(reverter)


def batch():
    with w3.batch_requests() as requests:
        requests.add(w3.eth.get_block(1))
        requests.add(w3.eth.get_block(2))
        requests.add(w3.eth.get_balance(account))
        return requests.execute()


def event_filter():
    made = w3.eth.filter({"address": contract, "fromBlock": 0})
    logs = len(made.get_all_entries())
    return {"logs": logs, "gone": w3.eth.uninstall_filter(made.filter_id)}


reads = {
    "chain_id": lambda: w3.eth.chain_id,
    "block_number": lambda: w3.eth.block_number,
    "client_version": lambda: w3.client_version,
    "syncing": lambda: w3.eth.syncing,
    "latest": lambda: w3.eth.get_block("latest"),
    "with_transactions": lambda: w3.eth.get_block(2, True),
    "missing_block": lambda: w3.eth.get_block(10_000),
    "balance": lambda: w3.eth.get_balance(account),
    "old_balance": lambda: w3.eth.get_balance(account, 1),
    "nonce": lambda: w3.eth.get_transaction_count(account),
    "code": lambda: w3.eth.get_code(contract),
    "storage": lambda: w3.eth.get_storage_at(contract, 0),
    "transaction": lambda: w3.eth.get_transaction(transaction),
    "receipt": lambda: w3.eth.get_transaction_receipt(transaction),
    "missing_receipt": lambda: w3.eth.get_transaction_receipt("0x" + "11" * 32),
    "logs": lambda: w3.eth.get_logs({"address": contract, "fromBlock": 0}),
    "call": lambda: w3.eth.call({"to": contract}),
    "revert": lambda: w3.eth.call({"to": reverter}),
    "estimate": lambda: w3.eth.estimate_gas({"from": account, "to": contract}),
    "gas_price": lambda: w3.eth.gas_price,
    "fee_history": lambda: w3.eth.fee_history(3, "latest", [50]),
    "unknown_method": lambda: w3.provider.make_request("acme_nothing", []),
    "invalid_params": lambda: w3.provider.make_request("eth_getBalance", ["0x12", "latest"]),
    "batch": batch,
    "filter": event_filter,
}

for name, read in reads.items():
    try:
        print(name, "=", Web3.to_json(read()))
    except Exception as error:
        print(name, "!", type(error).__name__, error)
