"""heads.py URL COUNT CONTRACT: listens with web3.py on one socket and prints what it was told of COUNT blocks and as many of the contract's logs. Says
"listening" when it is subscribed."""

import asyncio
import json
import sys

from web3 import AsyncWeb3, Web3, WebSocketProvider

url, count, contract = sys.argv[1], int(sys.argv[2]), Web3.to_checksum_address(sys.argv[3])


async def listen():
    told = {"heads": [], "logs": []}
    async with AsyncWeb3(WebSocketProvider(url)) as w3:
        heads = await w3.eth.subscribe("newHeads")
        await w3.eth.subscribe("logs", {"address": contract})
        chain_id = await w3.eth.chain_id
        print("listening", flush=True)
        async for event in w3.socket.process_subscriptions():
            result = event["result"]
            if event["subscription"] == heads:
                told["heads"].append(f"{result['number']} {result['hash'].hex()} {result['parentHash'].hex()}")
            else:
                told["logs"].append(f"{result['blockNumber']} {result['logIndex']}")
            if len(told["heads"]) >= count and len(told["logs"]) >= count:
                print(json.dumps({"chain_id": chain_id, **told}), flush=True)
                return


asyncio.run(asyncio.wait_for(listen(), 20))
