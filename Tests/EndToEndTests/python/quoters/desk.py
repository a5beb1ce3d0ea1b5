"""What the quoters share: one session of the official client, its record, and an account of orders and fills of its own.

Everything that the venue says is held against the protocol here: an AssertionError names what was not as it should be.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter

import thalex

LIVE = ("open", "partially_filled")
# The protocol's names of methods that the client calls something else than `private/` and its own name.
PUBLIC = {
    "login": "public/login", "instruments": "public/instruments", "public_subscribe": "public/subscribe",
    "private_subscribe": "private/subscribe",
}
STATUSES = LIVE + ("filled", "cancelled", "cancelled_partially_filled")
# Seconds for an answer; a quoter that fell behind on a busy machine has much to read before it.
LIMIT = 60.0


class Address:
    """What the client calls a network: anything with a value."""

    def __init__(self, url):
        self.value = url


def same(a, b):
    return abs(a - b) < 1e-8


class Desk:
    """One connection from login to farewell.

    Methods that ask something give the id under which the answer comes; ids of orders are their client ids, from 100 on.
    """

    def __init__(self, arguments):
        self.arguments = arguments
        self.client = thalex.Thalex(network=Address(arguments.url))
        with open(arguments.key_file, encoding="ascii") as file:
            self.private_key = file.read()
        self.record = open(arguments.record, "w", encoding="utf-8") if arguments.record else None
        self.counts = Counter()
        self.errors = Counter()
        self.methods = {}
        self.orders = {}
        self.order_fills = {}
        self.trades = {}
        self.positions = {}
        self.deadline = None
        # Errors that a quoter meets in the ordinary course of things: gone, and too fast.
        self.allowed = {1, 4}

    # requests

    async def send(self, method, *args, request=None, **kwargs):
        """Calls a method of the client and remembers what its id stands for."""
        name = request or method
        if kwargs.get("id") is not None:
            self.methods[kwargs["id"]] = name
        self.counts[method] += 1
        await getattr(self.client, method)(*args, **kwargs)

    async def login(self, cod=6):
        await self.send("login", self.arguments.key_id, self.private_key, id=3)
        await self.send("set_cancel_on_disconnect", timeout_secs=cod, id=5)

    # messages

    def note(self, text, message):
        """Writes a message into the record, with the method that it answers if that is known."""
        if self.record is None:
            return
        method = ""
        if "channel_name" not in message and message.get("id") in self.methods:
            name = self.methods[message["id"]]
            method = f', "method": "{PUBLIC.get(name, "private/" + name)}"'
        self.record.write(f'{{"message": {text}{method}}}\n')

    async def receive(self, seconds=LIMIT):
        """The next message, after it has been taken into the account."""
        text = await asyncio.wait_for(self.client.receive(), seconds)
        assert isinstance(text, str), f"a binary frame came: {text!r}"
        message = json.loads(text)
        self.note(text, message)
        if "channel_name" in message:
            assert "notification" in message, message
            self.take(message["channel_name"], message["notification"])
        else:
            assert "id" in message and ("result" in message) != ("error" in message), message
            if "error" in message:
                code = message["error"]["code"]
                self.errors[code] += 1
                assert code in self.allowed, f"error {code} to {self.methods.get(message['id'])}: {message}"
        return message

    async def messages(self):
        """All messages until the time given on the command line is over."""
        if self.deadline is None:
            self.deadline = time.monotonic() + self.arguments.seconds
        while (left := self.deadline - time.monotonic()) > 0:
            try:
                yield await self.receive(left)
            except asyncio.TimeoutError:
                return

    async def answer(self, number):
        """The result of a request, whatever else comes before it."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            message = await self.receive(LIMIT)
            if "channel_name" not in message and message["id"] == number:
                assert "error" not in message, message
                return message["result"]
        raise AssertionError(f"no answer to request {number} ({self.methods.get(number)}) within {LIMIT} s")

    # the account

    def take(self, channel, body):
        self.counts[channel.split(".")[0] + " notifications"] += 1
        if channel == "session.orders":
            for order in body:
                self.take_order(order)
        elif channel == "account.trade_history":
            for trade in body:
                self.take_trade(trade)
        elif channel == "account.portfolio":
            for line in body:
                self.positions[line["instrument_name"]] = line["position"]

    def take_order(self, order):
        number = order["order_id"]
        status = order["status"]
        assert status in STATUSES, order
        before = self.orders.get(number)
        if before is not None:
            assert before["status"] in LIVE, f"a dead order came back: {before} then {order}"
            assert order["filled_amount"] >= before["filled_amount"] - 1e-9, f"fills were taken back: {before} then {order}"
        fills = self.order_fills.setdefault(number, {})
        for fill in order["fills"]:
            fills[fill["trade_id"]] = fill["amount"]
        assert same(sum(fills.values()), order["filled_amount"]), f"the fills do not add up: {order}"
        if status in LIVE:
            assert same(order["amount"], order["filled_amount"] + order["remaining_amount"]), order
        else:
            assert order.get("delete_reason"), order
            self.counts["deleted: " + order["delete_reason"]] += 1
        self.counts["order " + order["change_reason"]] += 1
        self.orders[number] = order

    def take_trade(self, trade):
        key = (trade["trade_id"], trade["instrument_name"])
        assert key not in self.trades, f"a trade was told twice: {trade}"
        assert trade["direction"] in ("buy", "sell") and trade["amount"] > 0, trade
        self.trades[key] = trade

    def live(self):
        return [order for order in self.orders.values() if order["status"] in LIVE]

    # the end

    async def farewell(self):
        """Cancels everything, waits for what comes late, and checks that nothing is left."""
        await self.send("cancel_session", id=4)
        assert await self.answer(4) is None
        end = time.monotonic() + 0.6
        while (left := end - time.monotonic()) > 0:
            try:
                await self.receive(left)
            except asyncio.TimeoutError:
                break
        assert not self.live(), f"orders are left after cancel_session: {self.live()}"
        await self.send("open_orders", id=6)
        assert await self.answer(6) == []
        await self.send("portfolio", id=8)
        held = {line["instrument_name"]: line["position"] for line in await self.answer(8)}
        bought = Counter()
        for (_, name), trade in self.trades.items():
            bought[name] += trade["amount"] if trade["direction"] == "buy" else -trade["amount"]
        for name in set(bought) | set(held):
            assert same(bought.get(name, 0), held.get(name, 0)), f"{name}: trades say {bought[name]}, the venue {held}"
        # Every fill that the orders told of is in the trade history, and no other.
        told = {trade_id for fills in self.order_fills.values() for trade_id in fills}
        assert told == {trade_id for trade_id, _ in self.trades}, "orders and trade history tell of different fills"
        await self.send("instruments", id=9)
        lots = {i["instrument_name"]: i["volume_tick_size"] for i in await self.answer(9)}
        await self.client.disconnect()
        assert not self.client.connected()
        if self.record:
            self.record.close()
        print(
            json.dumps(
                {
                    "counts": self.counts,
                    "errors": {str(code): count for code, count in self.errors.items()},
                    "fills": [
                        {
                            "trade_id": trade_id,
                            "instrument": name,
                            "is_buy": trade["direction"] == "buy",
                            "lots": round(trade["amount"] / lots[name]),
                            "price_e8": round(trade["price"] * 100_000_000),
                        }
                        for (trade_id, name), trade in self.trades.items()
                    ],
                }
            )
        )


class Orders:
    """Orders of one instrument by client id, as a quoter of ordinary orders keeps them."""

    def __init__(self, desk, label, first_id=100):
        self.desk = desk
        self.label = label
        self.next_id = first_id
        self.mine = {}

    def take(self, message):
        """Follows `session.orders` and error replies."""
        if message.get("channel_name") == "session.orders":
            for order in message["notification"]:
                if order.get("label") == self.label and order.get("client_order_id") in self.mine:
                    self.mine[order["client_order_id"]] = order

    async def quote(self, slot, instrument, direction, price, amount, threshold, post_only=True):
        """Brings one order to where it is wanted: insert, amend or nothing. `slot` is the place that it fills.

        The slot holds the client id while the order lives or is on its way.
        """
        number = slot.get("id")
        order = self.mine.get(number)
        if order is not None and order["status"] not in LIVE:
            del self.mine[number]
            number, order = None, None
            slot.pop("id")
        if number is None:
            if amount <= 0:
                return
            number = slot["id"] = self.next_id
            self.next_id += 1
            # On its way: what is known is only what was asked for.
            self.mine[number] = {"status": "open", "price": price, "pending": True}
            await self.desk.send(
                "insert", direction, instrument, amount, client_order_id=number, price=price, label=self.label,
                post_only=post_only or None, id=number)
        elif not order.get("pending") and abs(order["price"] - price) > threshold:
            order = self.mine[number] = dict(order, price=price, pending=True)
            await self.desk.send(
                "amend", amount=order["filled_amount"] + amount, price=price, client_order_id=number, id=number,
                request="insert")

    def refused(self, message):
        """An error reply to an order message: what was on its way is not."""
        number = message.get("id")
        if "error" in message and number in self.mine:
            order = self.mine[number]
            if "order_id" not in order:
                # The insert was refused: nothing exists.
                self.mine[number] = {"status": "cancelled", "price": order["price"]}
            else:
                self.mine[number] = dict(self.desk.orders[order["order_id"]])


def run(description, quote):
    """Parses the command line and runs a quoter: `quote(desk)` is its whole life but for the farewell."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("url")
    parser.add_argument("key_id")
    parser.add_argument("key_file")
    parser.add_argument("--seconds", type=float, default=20, help="how long to quote")
    parser.add_argument("--record", help="write every message here, one JSON document a line")
    parser.add_argument("--instrument", default="BTC-PERPETUAL")
    desk = Desk(parser.parse_args())

    async def life():
        await desk.client.connect()
        await quote(desk)
        await desk.farewell()

    try:
        asyncio.run(asyncio.wait_for(life(), desk.arguments.seconds + 60))
    except AssertionError as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        raise
