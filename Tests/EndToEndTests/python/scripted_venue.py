#!/usr/bin/env python3
"""A venue for one client, written from the exchange's protocol description alone and on the Python `websockets` library.

It shares no line with the engine or with the simulated exchange, so that the three cannot share a misreading. It says
what the description allows in ways that the engine's author would not have chosen: numbers as 107454.0 or 1.07454e5,
blanks, members in any order, messages in several fragments, pings of its own, notifications before the replies that
they belong to, errors that overtake. It checks all that the client sends.

usage: scripted_venue.py PUBLIC_KEY.pem RESULT.json [--seed N] [--mutate NAME]

Prints `listening on ws://…`, serves until its client has gone, and writes what it saw: `faults` is empty if the client
did nothing wrong; the rest is the account by this venue's books. --mutate makes it lie, to show that the test notices:
  fee       the trade feed states other fees than the books
  lost      one fill is booked and never told
  grid      the tick size is checked at four times what was announced
"""
import argparse
import asyncio
import base64
import json
import random
import sys
import time
from decimal import Decimal

import jwt
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

NAME = "BTC-PERPETUAL"
TICK = Decimal("0.5")
LOT = Decimal("0.001")
MINIMUM = 5  # lots
RATE = 50
FEE_RATE = Decimal("0.0001")
ERRORS = {"throttle": 4, "margin": 24, "gone": 1, "parameter": 6, "tick": 15, "amount": 14, "duplicate": 2}


class Refusal(Exception):
    """A request that gets an error reply."""

    def __init__(self, code, text=""):
        super().__init__(text)
        self.code = code


class Spelling:
    """Writes JSON in one of many ways that mean the same."""

    def __init__(self, source):
        self.random = source

    def number(self, value):
        value = Decimal(value)
        plain = format(value, "f")
        if "." in plain:
            plain = plain.rstrip("0").rstrip(".")
        way = self.random.randrange(5)
        if way == 0:
            return plain if "." in plain else plain + ".0"
        if way == 1:
            return plain + ("0" if "." in plain else "")
        if way == 2 and value != 0:
            digits = value.normalize().as_tuple()
            sign = "-" if digits.sign else ""
            text = "".join(map(str, digits.digits))
            power = digits.exponent + len(text) - 1
            return f"{sign}{text[0]}{'.' + text[1:] if text[1:] else ''}{self.random.choice('eE')}{self.random.choice(['', '+']) if power >= 0 else ''}{power}"
        if way == 3 and value != 0:
            digits = value.normalize().as_tuple()
            sign = "-" if digits.sign else ""
            return f"{sign}{''.join(map(str, digits.digits))}00e{digits.exponent - 2}"
        return plain

    def blank(self):
        return self.random.choice(["", "", "", " ", "\n", "\t ", "  "])

    def text(self, value):
        if value is None:
            return "null"
        if value is True or value is False:
            return "true" if value else "false"
        if isinstance(value, str):
            if value and self.random.random() < 0.05:
                place = self.random.randrange(len(value))
                return '"' + json.dumps(value[:place])[1:-1] + "\\u%04x" % ord(value[place]) + json.dumps(value[place + 1:])[1:-1] + '"'
            return json.dumps(value)
        if isinstance(value, (int, Decimal)):
            return self.number(value)
        if isinstance(value, Verbatim):
            return value.text
        if isinstance(value, list):
            return "[" + self.blank() + ("," + self.blank()).join(self.text(item) + self.blank() for item in value) + "]"
        members = list(value.items())
        self.random.shuffle(members)
        if self.random.random() < 0.1:
            members.insert(self.random.randrange(len(members) + 1), ("a_member_of_tomorrow", [{"x": None}, "]}"]))
        parts = [f"{self.blank()}{json.dumps(key)}{self.blank()}:{self.blank()}{self.text(part)}" for key, part in members]
        return "{" + ",".join(parts) + self.blank() + "}"


class Verbatim:
    """A request's id, which is echoed as it came."""

    def __init__(self, text):
        self.text = text


class Order:
    def __init__(self, order_id, client_id, side, price, amount, label):
        self.order_id, self.client_id, self.side = order_id, client_id, side
        self.price, self.amount, self.label = price, amount, label  # ticks, lots
        self.filled = 0
        self.status = "open"
        self.created = Decimal(f"{time.time():.6f}")
        self.deletion = None

    @property
    def remaining(self):
        return self.amount - self.filled if self.is_live else 0

    @property
    def is_live(self):
        return self.status in ("open", "partially_filled")

    def end(self, reason):
        self.status = "cancelled_partially_filled" if self.filled else "cancelled"
        self.deletion = reason

    def report(self, change, fills):
        told = {
            "order_id": self.order_id, "order_type": "limit", "time_in_force": "good_till_cancelled",
            "instrument_name": NAME, "direction": self.side, "price": self.price * TICK, "amount": self.amount * LOT,
            "filled_amount": self.filled * LOT, "remaining_amount": self.remaining * LOT, "label": self.label,
            "client_order_id": self.client_id, "status": self.status, "fills": fills, "change_reason": change,
            "insert_reason": "client_request", "create_time": self.created, "persistent": False,
        }
        if self.deletion:
            told["delete_reason"] = self.deletion
            told["close_time"] = Decimal(f"{time.time():.6f}")
        return told


class Venue:
    """The state of one connection and of its account."""

    def __init__(self, socket, key, seed, mutation, result):
        self.socket, self.key, self.mutation, self.result = socket, key, mutation, result
        self.random = random.Random(seed)
        self.spelling = Spelling(random.Random(seed + 1))
        self.faults, self.methods = [], []
        self.channels = set()
        self.is_logged_in = self.has_timer = self.is_stopping = False
        self.orders, self.by_client, self.used_clients = {}, {}, set()
        self.sent_times = []
        self.next_id = 1
        self.inserts = self.amends = self.cancels = self.errors_told = self.pongs = self.fragments = 0
        self.mid = 152_600  # ticks
        self.position = self.bought = self.sold = 0
        self.fees = Decimal(0)
        self.trades = []
        self.deferred = []  # (due, notification)

    def fault(self, text):
        if len(self.faults) < 50:
            self.faults.append(text)

    # ---- What is sent. ----

    async def send(self, message):
        text = self.spelling.text(message)
        cut = self.random.randrange(1, len(text)) if self.random.random() < 0.3 else 0
        if cut:
            self.fragments += 1
            await self.socket.send([text[:cut], text[cut:]])
        else:
            await self.socket.send(text)

    async def notify(self, channel, value, snapshot=False):
        if channel not in self.channels:
            return
        message = {"channel_name": channel, "notification": value}
        if snapshot:
            message["snapshot"] = True
        await self.send(message)

    def channel(self, prefix):
        return next((name for name in self.channels if name.startswith(prefix)), "")

    def ticker(self):
        mark = self.mid * TICK + Decimal("0.1234567")
        return {
            "mark_price": mark, "mark_timestamp": Decimal(f"{time.time():.7f}"), "best_bid_price": (self.mid - 2) * TICK,
            "best_bid_amount": Decimal("0.4"), "best_ask_price": (self.mid + 2) * TICK, "best_ask_amount": Decimal(1),
            "last_price": None, "delta": 1, "volume_24h": 0, "index": mark - 1, "collar_low": mark * Decimal("0.97"),
            "collar_high": mark * Decimal("1.03"), "funding_rate": Decimal("0.00001"), "funding_mark": Decimal("-1.27"),
        }

    def ladder(self, side):
        sign = -1 if side == "buy" else 1
        return {(self.mid + sign * (2 + 2 * step)): 400 + 100 * step for step in range(8)}

    async def book(self, before):
        """The change from the ladder `before` (ticks to lots, by side), or all of it."""
        name = self.channel("book.")
        now = {side: self.ladder(side) for side in ("buy", "sell")}
        told = {"time": Decimal(f"{time.time():.6f}"), "total_bid_amount": Decimal(9), "total_ask_amount": Decimal(9)}
        for side, key in (("buy", "bid_changes"), ("sell", "ask_changes")):
            old = before[side] if before else {}
            changes = {price: size for price, size in now[side].items() if old.get(price) != size}
            changes.update({price: 0 for price in old if price not in now[side]})
            if changes:
                told[key] = [[price * TICK, size * LOT, size * LOT] for price, size in changes.items()]
        await self.notify(name, told, snapshot=before is None)
        return now

    def position_line(self):
        return {
            "instrument_name": NAME, "position": self.position * LOT, "mark_price": self.mid * TICK,
            "index": self.mid * TICK, "start_price": self.mid * TICK, "average_price": self.mid * TICK,
            "unrealised_pnl": 0, "realised_pnl": 0, "entry_value": 0,
        }

    # ---- Trading. ----

    def trade(self, order, lots, ticks, role):
        """Books an execution; returns the fill and remembers what the slower feeds will say."""
        trade_id = f"{len(self.trades) + 1:032X}"
        sign = 1 if order.side == "buy" else -1
        order.filled += lots
        order.status = "filled" if order.filled == order.amount else "partially_filled"
        if order.status == "filled":
            order.deletion = "filled"
        self.position += sign * lots
        if sign > 0:
            self.bought += lots
        else:
            self.sold += lots
        fee = (lots * LOT * ticks * TICK * FEE_RATE).quantize(Decimal("0.01"))
        self.fees += fee
        self.trades.append(trade_id)
        now = Decimal(f"{time.time():.6f}")
        fill = {
            "trade_id": trade_id, "price": ticks * TICK, "amount": lots * LOT, "time": now, "maker_taker": role,
            "leg_index": 0,
        }
        if self.mutation == "lost" and len(self.trades) == 3:
            return []
        stated = fee + Decimal("0.01") if self.mutation == "fee" else fee
        history = {
            "order_id": order.order_id, "trade_id": trade_id, "instrument_name": NAME, "direction": order.side,
            "price": ticks * TICK, "amount": lots * LOT, "label": order.label, "time": now,
            "position_after": self.position * LOT, "trade_type": "normal", "session_realised_after": Decimal(0),
            "fee": stated, "index": self.mid * TICK, "fee_rate": FEE_RATE, "fee_basis": self.mid * TICK,
            "funding_mark": Decimal(0), "client_order_id": order.client_id, "maker_taker": role, "leg_index": 0,
        }
        due = time.monotonic() + self.random.uniform(0.005, 0.04)
        self.deferred.append((due, "account.trade_history", [history]))
        self.deferred.append((due + 0.01, "account.portfolio", [self.position_line()]))
        return [fill]

    async def settle(self, everything=False):
        """What the database has been told by now."""
        now = time.monotonic()
        ready = sorted((item for item in self.deferred if everything or item[0] <= now), key=lambda item: item[0])
        self.deferred = [item for item in self.deferred if item not in ready]
        for _, channel, value in ready:
            await self.notify(channel, value)

    async def move(self):
        """The market: a walk, and what it trades with our client."""
        before = None
        turn = 0
        while True:
            await asyncio.sleep(self.random.uniform(0.03, 0.08))
            turn += 1
            await self.settle()
            if not self.channel("book."):
                continue
            if before is None:
                before = await self.book(None)
            self.mid += self.random.choice([-3, -2, -1, 0, 0, 1, 2, 3])
            if not self.is_stopping:
                for order in list(self.orders.values()):
                    crossed = order.price > self.mid + 2 if order.side == "buy" else order.price < self.mid - 2
                    if order.is_live and crossed and abs(self.position) < 300:
                        part = self.random.choice([order.remaining, max(1, order.remaining // 3)])
                        fills = self.trade(order, part, order.price, "maker")
                        if fills:
                            await self.notify("session.orders", [order.report("fill", fills)])
            before = await self.book(before)
            await self.notify(self.channel("ticker."), self.ticker())
            if turn % 20 == 0:
                waiter = await self.socket.ping()
                asyncio.get_running_loop().create_task(self.pong(waiter))

    async def pong(self, waiter):
        try:
            await asyncio.wait_for(waiter, 5)
            self.pongs += 1
        except asyncio.TimeoutError:
            self.fault("a ping of the venue was not answered within 5 s")
        except ConnectionClosed:
            pass

    # ---- Requests. ----

    def whole(self, value, step, what):
        """A number of steps; the server rounds to 8 decimals before it looks at the grid."""
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            self.fault(f"{what} is {value!r}, no number")
            raise Refusal(ERRORS["parameter"])
        steps = Decimal(value).quantize(Decimal("0.00000001")) / step
        if steps != steps.to_integral_value():
            self.fault(f"{what} {value} is no multiple of {step}")
            raise Refusal(ERRORS["tick"])
        return int(steps)

    def price(self, value):
        return self.whole(value, TICK, "a price") if self.mutation != "grid" else \
            self.whole(value, 4 * TICK, "a price") * 4

    def only(self, params, *names):
        for name in params:
            if name not in names:
                self.fault(f"unknown parameter {name}")
                raise Refusal(ERRORS["parameter"])

    def matching(self):
        """A message for the matching engine: counted against the granted rate."""
        now = time.monotonic()
        self.sent_times = [moment for moment in self.sent_times if now - moment < 1.0] + [now]
        if len(self.sent_times) > RATE:
            self.fault(f"{len(self.sent_times)} order messages within a second")
        if not (self.is_logged_in and self.has_timer):
            self.fault("an order before login and cancel-on-disconnect")

    def find(self, params):
        self.only(params, "client_order_id", "order_id", "price", "amount", "collar")
        if ("client_order_id" in params) == ("order_id" in params):
            self.fault("an order named by both ids, or by none")
            raise Refusal(ERRORS["parameter"])
        order = self.by_client.get(params.get("client_order_id")) or self.orders.get(params.get("order_id"))
        if order is None or not order.is_live:
            raise Refusal(ERRORS["gone"])
        return order

    def insert(self, params):
        self.matching()
        self.only(params, "direction", "instrument_name", "amount", "price", "client_order_id", "label", "post_only",
                  "reject_post_only", "collar", "time_in_force", "reduce_only", "order_type")
        self.inserts += 1
        if self.inserts % 9 == 5:
            raise Refusal(ERRORS["margin"])
        if params.get("instrument_name") != NAME or params.get("direction") not in ("buy", "sell"):
            self.fault(f"insert without instrument or direction: {params}")
            raise Refusal(ERRORS["parameter"])
        if params.get("post_only") is not True:
            self.fault("a quote that is not post-only")
        ticks, lots = self.price(params.get("price")), self.whole(params.get("amount"), LOT, "an amount")
        if lots < MINIMUM or ticks <= 0:
            self.fault(f"amount {lots} lots or price {ticks} ticks is too small")
            raise Refusal(ERRORS["amount"])
        client = params.get("client_order_id")
        if not isinstance(client, int) or isinstance(client, bool) or not 0 < client < 1 << 64:
            self.fault(f"client_order_id {client!r}")
            raise Refusal(ERRORS["parameter"])
        if client in self.used_clients:
            self.fault(f"client_order_id {client} twice")
            raise Refusal(ERRORS["duplicate"])
        self.used_clients.add(client)
        # Post-only: a crossing price moves to one tick behind the opposite best.
        if params["direction"] == "buy":
            ticks = min(ticks, self.mid + 1)
        else:
            ticks = max(ticks, self.mid - 1)
        order = Order(f"{0x1F3C2600000000 + self.next_id:016X}", client, params["direction"], ticks, lots,
                      params.get("label", ""))
        self.next_id += 1
        self.orders[order.order_id] = order
        self.by_client[client] = order
        return order.report("insert", [])

    def amend(self, params):
        self.matching()
        self.amends += 1
        order = self.find(params)
        if self.amends % 23 == 11:
            raise Refusal(ERRORS["throttle"])
        ticks, lots = self.price(params.get("price")), self.whole(params.get("amount"), LOT, "an amount")
        order.price, order.amount = ticks, lots
        if lots <= order.filled:
            order.end("client_cancel")
            return order.report("amend", [])
        fills = []
        best = self.mid + 2 if order.side == "buy" else self.mid - 2
        if ticks >= best if order.side == "buy" else ticks <= best:
            fills = self.trade(order, order.remaining, best, "taker")
        return order.report("amend", fills)

    def cancel(self, params):
        self.cancels += 1
        order = self.find(params)
        order.end("client_cancel")
        return order.report("cancel", [])

    def serve(self, method, params):
        """The result, and the notifications that belong to it."""
        if not method.startswith("public/") and not self.is_logged_in:
            self.fault(f"{method} before login")
            raise Refusal(7)
        if method == "public/login":
            return self.login(params), []
        if method == "private/set_cancel_on_disconnect":
            self.only(params, "timeout_secs")
            if not isinstance(params.get("timeout_secs"), int) or not 0 < params["timeout_secs"] <= 60:
                self.fault(f"timeout_secs {params.get('timeout_secs')!r}")
            self.has_timer = True
            return {"message_rate": RATE}, []
        if method == "public/instruments":
            self.only(params, "underlying", "instrument_type", "expiry_date")
            return [self.instrument()], []
        if method in ("public/subscribe", "private/subscribe"):
            return self.subscribe(method, params)
        if method == "private/insert":
            told = self.insert(params)
        elif method == "private/amend":
            told = self.amend(params)
        elif method == "private/cancel":
            told = self.cancel(params)
        elif method in ("private/cancel_session", "private/cancel_all"):
            self.only(params)
            self.is_stopping = True
            gone = [order for order in self.orders.values() if order.is_live]
            reports = []
            for order in gone:
                order.end("session_end" if method.endswith("session") else "client_bulk_cancel")
                reports.append(order.report("cancel", []))
            return (None if method.endswith("session") else len(gone)), [("session.orders", reports, False)]
        elif method == "private/open_orders":
            self.only(params)
            return [order.report("existing", []) for order in self.orders.values() if order.is_live], []
        elif method == "private/portfolio":
            self.only(params)
            return [self.position_line()] if self.position else [], []
        elif method == "private/trade_history":
            return {"trades": [], "bookmark": None}, []
        else:
            self.fault(f"unknown method {method}")
            raise Refusal(31)
        # The two tell the same story.
        return told, [("session.orders", [dict(told)], False)]

    def instrument(self):
        return {
            "instrument_name": NAME, "product": "FBTCUSD", "tick_size": TICK, "volume_tick_size": LOT,
            "min_order_amount": MINIMUM * LOT, "underlying": "BTCUSD", "type": "perpetual", "base_currency": "USD",
            "create_time": Decimal("1630051200.0"),
        }

    def login(self, params):
        self.only(params, "token", "account")
        if self.methods != ["public/login"]:
            self.fault(f"login was not the first request: {self.methods}")
        try:
            claims = jwt.decode(params["token"], self.key, algorithms=["RS512"], options={"verify_iat": False})
            header = json.loads(base64.urlsafe_b64decode(params["token"].split(".")[0] + "=="))
        except (jwt.PyJWTError, ValueError, KeyError) as problem:
            self.fault(f"the token is not valid: {problem}")
            raise Refusal(19) from problem
        if header.get("kid") != "K1" or abs(claims.get("iat", 0) - time.time()) > 30:
            self.fault(f"token with kid {header.get('kid')} and iat {claims.get('iat')}")
            raise Refusal(19)
        self.is_logged_in = True
        return {"account_number": "A123456789"}

    def subscribe(self, method, params):
        self.only(params, "channels")
        names = params.get("channels")
        private = ("session.", "account.", "mm.")
        for name in names:
            if name.startswith(private) != method.startswith("private/"):
                self.fault(f"{name} in {method}")
        self.channels.update(names)
        first = []
        for name in names:
            if name == "session.orders":
                first.append((name, [], True))
            elif name == "account.portfolio":
                first.append((name, [self.position_line()] if self.position else [], True))
            elif name == "instruments":
                first.append((name, [{"added": self.instrument()}], True))
        return names, first

    async def answer(self, batch):
        """Serves what came together, and says what there is to say in an order that the description allows."""
        early, replies, late = [], [], []
        for text in batch:
            try:
                request = json.loads(text, parse_float=Decimal)
            except ValueError:
                self.fault(f"no JSON: {text[:200]}")
                continue
            if not isinstance(request, dict) or not isinstance(request.get("params"), dict):
                self.fault(f"a request without params: {text[:200]}")
                continue
            if set(request) != {"method", "id", "params"} or not isinstance(request["id"], int):
                self.fault(f"members or id of a request: {text[:200]}")
            self.methods.append(request["method"])
            reply = {"id": Verbatim(str(request["id"]))}
            try:
                result, told = self.serve(request["method"], request["params"])
                reply["result"] = result
                isEarly = self.random.random() < 0.5
                (early if isEarly else late).extend(told)
                replies.append(reply)
            except Refusal as refusal:
                self.errors_told += 1
                reply["error"] = {"code": refusal.code, "message": "ünlikely \"text\""}
                # Errors overtake.
                replies.insert(0, reply)
        for channel, value, snapshot in early:
            await self.notify(channel, value, snapshot)
        for reply in replies:
            await self.send(reply)
        for channel, value, snapshot in late:
            await self.notify(channel, value, snapshot)

    async def run(self):
        market = asyncio.get_running_loop().create_task(self.move())
        try:
            while True:
                batch = [await self.socket.recv()]
                try:
                    while len(batch) < 8:
                        batch.append(await asyncio.wait_for(self.socket.recv(), 0.004))
                except asyncio.TimeoutError:
                    pass
                await self.answer(batch)
                if self.is_stopping:
                    await self.settle(everything=True)
        except ConnectionClosed:
            pass
        market.cancel()
        try:
            await market
        except (asyncio.CancelledError, ConnectionClosed):
            pass
        self.finish()

    def finish(self):
        if self.methods[1:2] != ["private/set_cancel_on_disconnect"]:
            self.fault(f"cancel-on-disconnect did not follow login: {self.methods[:3]}")
        for needed in ("session.orders", "account.portfolio", "account.trade_history", "instruments", "system"):
            if needed not in self.channels:
                self.fault(f"{needed} was not subscribed")
        if not self.channel("ticker." + NAME) or not self.channel("book." + NAME):
            self.fault("ticker or book was not subscribed")
        if "private/cancel_session" not in self.methods and "private/cancel_all" not in self.methods:
            self.fault("nothing was cancelled at the end")
        elif "private/open_orders" not in self.methods[len(self.methods) - self.methods[::-1].index("private/cancel_session"):]:
            self.fault("the end was not verified by a query of open orders")
        if any(order.is_live for order in self.orders.values()):
            self.fault("orders are left")
        with open(self.result, "w", encoding="utf-8") as file:
            json.dump({
                "faults": self.faults, "position_lots": self.position, "bought_lots": self.bought,
                "sold_lots": self.sold, "fees_e8": int(self.fees * 100_000_000), "trades": self.trades,
                "inserts": self.inserts, "amends": self.amends, "cancels": self.cancels,
                "errors": self.errors_told, "pongs": self.pongs, "fragments": self.fragments,
                "orders": len(self.orders), "methods": sorted(set(self.methods)),
            }, file)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("key")
    parser.add_argument("result")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutate", choices=["fee", "lost", "grid"])
    options = parser.parse_args()
    with open(options.key, encoding="utf-8") as file:
        key = file.read()
    done = asyncio.Event()

    async def client(socket):
        if done.is_set():
            await socket.close()
            return
        try:
            await Venue(socket, key, options.seed, options.mutate, options.result).run()
        finally:
            done.set()

    async with serve(client, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on ws://127.0.0.1:{port}/ws/api/v2", flush=True)
        try:
            await asyncio.wait_for(done.wait(), 120)
        except asyncio.TimeoutError:
            sys.exit("scripted_venue.py: no client came and went within 120 s")


if __name__ == "__main__":
    asyncio.run(main())
