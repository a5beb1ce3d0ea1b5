"""A minimal quoter on the venue's official Python client: two orders that follow the book.

Usage: quoter.py <url> <private key file> <core>
It does what the engine does in the same measurement, without risk checks, journal or books of its own.
"""

import asyncio
import json
import os
import sys

import thalex
from thalex import Direction

NAME = "BTC-PERPETUAL"
AMOUNT = 0.02


class Venue:
    """What the client calls a network: anything with a value."""

    def __init__(self, url):
        self.value = url


async def quote(url, private_key):
    client = thalex.Thalex(network=Venue(url))
    await client.connect()
    await client.login("wire", private_key, id=1)
    await client.set_cancel_on_disconnect(60, id=2)
    await client.instruments(id=3)
    await client.private_subscribe(["session.orders", "account.portfolio"], id=4)
    await client.public_subscribe([f"ticker.{NAME}.raw", f"book.{NAME}.none.10.raw"], id=5)
    await client.open_orders(id=6)
    bids, asks = {}, {}
    quoted = None
    while True:
        message = json.loads(await client.receive())
        if not message.get("channel_name", "").startswith("book."):
            continue
        body = message["notification"]
        if message.get("snapshot"):
            bids, asks = {}, {}
        for side, changes in ((bids, body["bid_changes"]), (asks, body["ask_changes"])):
            for price, amount, _ in changes:
                if amount > 0:
                    side[price] = amount
                else:
                    side.pop(price, None)
        wanted = (max(bids) - 1, min(asks) + 1)
        if quoted is None:
            await client.insert(Direction.BUY, NAME, AMOUNT, client_order_id=1, price=wanted[0], post_only=True, id=10)
            await client.insert(Direction.SELL, NAME, AMOUNT, client_order_id=2, price=wanted[1], post_only=True, id=11)
        elif wanted != quoted:
            await client.amend(AMOUNT, wanted[0], client_order_id=1, id=12)
            await client.amend(AMOUNT, wanted[1], client_order_id=2, id=13)
        quoted = wanted


def main():
    url, key_file, core = sys.argv[1:4]
    os.sched_setaffinity(0, {int(core)})
    with open(key_file) as file:
        private_key = file.read()
    try:
        asyncio.run(quote(url, private_key))
    except Exception as problem:
        # The venue ends the session when it has measured.
        if type(problem).__name__ not in ("ConnectionClosedOK", "ConnectionClosedError"):
            raise


main()
