"""One trading session of the venue's official Python client, every answer checked.

Usage: official_client.py <url> <key id> <private key file>
Prints a line of JSON with what it did; an AssertionError says what was not as it should be.
"""

import asyncio
import json
import sys
import time

import thalex
from thalex import Direction

BTC = "BTC-PERPETUAL"
LIMIT = 20.0


class Venue:
    """What the client calls a network: anything with a value."""

    def __init__(self, url):
        self.value = url


class Session:
    def __init__(self, url):
        self.client = thalex.Thalex(network=Venue(url))
        self.replies = {}
        self.notifications = []

    async def take(self, deadline):
        text = await asyncio.wait_for(self.client.receive(), max(0.01, deadline - time.monotonic()))
        message = json.loads(text)
        if "channel_name" in message:
            self.notifications.append(message)
        else:
            self.replies[message["id"]] = message

    async def reply(self, number):
        deadline = time.monotonic() + LIMIT
        while number not in self.replies:
            await self.take(deadline)
        return self.replies.pop(number)

    async def result(self, number):
        reply = await self.reply(number)
        assert "error" not in reply, f"request {number} was refused: {reply}"
        return reply["result"]

    async def notification(self, channel, wanted=lambda body: True):
        deadline = time.monotonic() + LIMIT
        while True:
            for place, message in enumerate(self.notifications):
                if message["channel_name"] == channel and wanted(message["notification"]):
                    return self.notifications.pop(place)
            await self.take(deadline)


def same(a, b):
    return abs(a - b) < 1e-9


def check(order, **wanted):
    for name, value in wanted.items():
        found = order.get(name)
        equal = same(found, value) if isinstance(value, float) else found == value
        assert equal, f"{name} is {found!r}, not {value!r}, in {order}"


async def trade(url, key_id, private_key):
    session = Session(url)
    client = session.client
    await client.connect()
    assert client.connected()

    # Session state.
    await client.login(key_id, private_key, id=1)
    login = await session.result(1)
    assert login["account_number"] == "A" + key_id[1:], login
    await client.set_cancel_on_disconnect(timeout_secs=6, id=2)
    assert (await session.result(2))["message_rate"] == 50

    # Subscriptions and their snapshots.
    private = ["session.orders", "account.portfolio", "account.trade_history"]
    await client.private_subscribe(private, id=3)
    assert await session.result(3) == private
    portfolio = await session.notification("account.portfolio")
    assert portfolio["notification"] == [], portfolio
    public = [f"lwt.{BTC}.1000ms", f"ticker.{BTC}.raw"]
    await client.public_subscribe(public, id=4)
    assert await session.result(4) == public
    lwt = (await session.notification(public[0]))["notification"]
    assert lwt["m"] > 0, lwt
    ticker = (await session.notification(public[1]))["notification"]
    bid, ask = ticker["best_bid_price"], ticker["best_ask_price"]
    assert bid < ask and ticker["mark_price"] > 0 and "index" in ticker, ticker

    await client.instruments(id=5)
    tick = next(i for i in await session.result(5) if i["instrument_name"] == BTC)["tick_size"]

    # A maker's order: in, changed, later out.
    passive = bid - 200 * tick
    await client.insert(Direction.BUY, BTC, amount=0.1, client_order_id=1001, price=passive, label="maker", post_only=True, id=6)
    order = await session.result(6)
    check(order, status="open", change_reason="insert", client_order_id=1001, price=float(passive), amount=0.1,
          filled_amount=0.0, remaining_amount=0.1, direction="buy", label="maker", persistent=False, fills=[])
    order_id = order["order_id"]
    told = await session.notification("session.orders", lambda items: any(i["order_id"] == order_id for i in items))
    check(told["notification"][0], status="open", change_reason="insert")
    await client.amend(amount=0.2, price=passive - tick, client_order_id=1001, id=7)
    check(await session.result(7), order_id=order_id, change_reason="amend", price=float(passive - tick), amount=0.2, status="open")

    # A taker's order.
    await client.insert(Direction.BUY, BTC, amount=0.01, client_order_id=1002, price=ask + 100 * tick, id=8)
    taken = await session.result(8)
    check(taken, status="filled", filled_amount=0.01, remaining_amount=0.0, delete_reason="filled")
    check(taken["fills"][0], maker_taker="taker", amount=0.01)
    history = await session.notification("account.trade_history", lambda items: len(items) > 0)
    trade = history["notification"][0]
    check(trade, trade_id=taken["fills"][0]["trade_id"], order_id=taken["order_id"], direction="buy", amount=0.01,
          maker_taker="taker", position_after=0.01, client_order_id=1002)
    assert trade["fee"] > 0, trade
    line = (await session.notification("account.portfolio", lambda items: len(items) > 0))["notification"][0]
    check(line, instrument_name=BTC, position=0.01)

    # What is not there cannot be cancelled; what is there can, once.
    await client.cancel(client_order_id=9999, id=9)
    assert (await session.reply(9))["error"]["code"] == 1
    await client.cancel(client_order_id=1001, id=10)
    check(await session.result(10), order_id=order_id, status="cancelled", change_reason="cancel", delete_reason="client_cancel")
    await client.cancel(client_order_id=1001, id=11)
    assert (await session.reply(11))["error"]["code"] == 1

    # The end of the session's orders, by command; the other one by disconnecting.
    await client.insert(Direction.SELL, BTC, amount=0.3, client_order_id=1003, price=ask + 200 * tick, post_only=True, id=12)
    check(await session.result(12), status="open")
    await client.cancel_session(id=13)
    assert await session.result(13) is None
    ended = await session.notification(
        "session.orders", lambda items: any(i.get("client_order_id") == 1003 and i["status"] == "cancelled" for i in items))
    check(ended["notification"][0], delete_reason="session_end")
    await client.open_orders(id=14)
    assert await session.result(14) == []
    await client.insert(Direction.SELL, BTC, amount=0.3, client_order_id=1003, price=ask + 200 * tick, post_only=True, id=15)
    check(await session.result(15), status="open")
    await client.disconnect()
    assert not client.connected()

    # A new connection finds nothing left over, and a key that is not registered does not get in.
    session = Session(url)
    client = session.client
    await client.connect()
    await client.login(key_id, private_key, id=1)
    await session.result(1)
    await client.open_orders(id=2)
    assert await session.result(2) == []
    await client.disconnect()
    session = Session(url)
    client = session.client
    await client.connect()
    await client.login("K999", private_key, id=1)
    assert (await session.reply(1))["error"]["code"] == 19
    try:
        await session.take(time.monotonic() + LIMIT)
        assert False, "the venue kept a connection whose login failed"
    except Exception as error:
        code = getattr(getattr(error, "rcvd", None), "code", None)
        assert code == 1008, f"closed with {code}: {error!r}"

    print(json.dumps({"account": login["account_number"], "trade_id": trade["trade_id"], "fee": trade["fee"]}))


def main():
    url, key_id, key_file = sys.argv[1:4]
    with open(key_file, encoding="ascii") as file:
        private_key = file.read()
    asyncio.run(asyncio.wait_for(trade(url, key_id, private_key), 60))


main()
