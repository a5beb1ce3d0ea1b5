"""Calls every method and listens to every channel of a simulated venue with a chain, and records what it says.

Usage: tour.py <url> <private key file> <record>
The record holds one JSON document a line: the message, and the method if it is a reply. An AssertionError says which
request was not answered as it should be.
"""

import asyncio
import json
import sys
import time

import jwt
import websockets

METHODS = [
    "public/login", "public/instruments", "public/all_instruments", "public/instrument", "public/ticker", "public/book",
    "public/index", "public/system_info", "public/subscribe", "unsubscribe", "private/subscribe", "private/insert",
    "private/buy", "private/sell", "private/amend", "private/cancel", "private/cancel_all", "private/cancel_session",
    "private/set_cancel_on_disconnect", "private/mass_quote", "private/cancel_mass_quote", "private/set_mm_protection",
    "private/open_orders", "private/order_history", "private/trade_history", "private/portfolio", "private/account_summary",
    "private/account_breakdown", "private/required_margin_for_order", "private/create_conditional_order",
    "private/cancel_conditional_order", "private/cancel_all_conditional_orders", "private/open_conditional_orders",
    "private/conditional_orders", "private/create_rfq", "private/cancel_rfq", "private/open_rfqs", "private/mm_rfqs",
    "private/mm_rfq_insert_quote", "private/mm_rfq_amend_quote", "private/mm_rfq_delete_quote", "private/mm_rfq_quotes",
    "private/bots",
]
CHANNELS = [
    "account.orders", "account.persistent_orders", "session.orders", "account.trade_history", "account.order_history",
    "account.portfolio", "account.conditional_orders", "account.bots", "account.summary", "session.mm_protection",
    "book.<instrument>.<grouping>.<nlevels>.<delay>", "ticker.<instrument>.<delay>", "lwt.<instrument>.<delay>",
    "lwt_options.<underlying>.<expiration>.<delay>", "lwt_futures.<underlying>.<delay>", "lwt_future_rolls.<underlying>.<delay>",
    "recent_trades.<target>.<category>", "price_index.<underlying>", "underlying_statistics.<underlying>",
    "base_price.<underlying>.<expiration>", "instruments", "banners", "rfqs", "account.rfqs", "mm.rfqs", "mm.rfq_quotes",
    "index_components.<underlying>",
]
BTC = "BTC-PERPETUAL"


class Caller:
    def __init__(self, socket, record):
        self.socket = socket
        self.record = record
        self.number = 0

    def note(self, message, method=None):
        self.record.write(json.dumps({"message": message, **({"method": method} if method else {})}) + "\n")

    async def ask(self, method, expect=None, **params):
        """The result of a call, or of one that must fail with the code `expect`, None."""
        self.number += 1
        await self.socket.send(json.dumps({"method": method, "id": self.number, "params": params}))
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), 20))
            if message.get("id") == self.number:
                break
            self.note(message)
        self.note(message, method)
        code = message.get("error", {}).get("code")
        assert code == expect, f"{method} {params}: {message}"
        return message.get("result")

    async def listen(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self.note(json.loads(await asyncio.wait_for(self.socket.recv(), left)))
            except asyncio.TimeoutError:
                return

    async def login(self, key, key_id):
        token = jwt.encode({"iat": time.time()}, key, algorithm="RS512", headers={"kid": key_id})
        await self.ask("public/login", token=token)


async def tour(url, key, record):
    async with websockets.connect(url) as first, websockets.connect(url) as second:
        a, b = Caller(first, record), Caller(second, record)
        await a.ask("private/portfolio", expect=7)
        await a.login(key, "K1")
        await b.login(key, "K2")
        instruments = await a.ask("public/instruments")
        options = [i for i in instruments if i["type"] == "option"]
        roll = next(i for i in instruments if i["type"] == "combination")["instrument_name"]
        future = next(i for i in instruments if i["type"] == "future")
        option = options[len(options) // 2]["instrument_name"]
        await a.ask("public/all_instruments")
        for name in (BTC, roll, option, future["instrument_name"]):
            await a.ask("public/instrument", instrument_name=name)
            await a.ask("public/ticker", instrument_name=name)
            await a.ask("public/book", instrument_name=name)
        await a.ask("public/index", underlying="BTCUSD")
        await a.ask("public/system_info")
        await a.ask("public/nothing", expect=31)

        # Persistent orders come first, then the session's own.
        await a.ask("private/buy", instrument_name=BTC, amount=0.1, price=50000)
        await a.ask("private/set_cancel_on_disconnect", timeout_secs=60)
        await b.ask("private/set_cancel_on_disconnect", timeout_secs=60)
        private = [name for name in CHANNELS if name.split(".")[0] in ("account", "session", "mm")]
        assert await a.ask("private/subscribe", channels=private) == private
        await b.ask("private/subscribe", channels=private)
        public = [f"{kind}.{name}.raw" for name in (BTC, roll, option, future["instrument_name"]) for kind in ("ticker", "lwt")]
        public += [f"book.{name}.none.{depth}.raw" for name in (BTC, roll, option) for depth in (5, "all")]
        public += [f"book.{BTC}.10.5.100ms", f"recent_trades.{BTC}.single"]
        public += [f"recent_trades.BTCUSD.{category}" for category in ("all", "options", "future_rolls")]
        public += ["lwt_options.BTCUSD.all.1000ms", f"lwt_options.BTCUSD.{future['expiry_date']}.raw", "lwt_futures.BTCUSD.100ms"]
        public += ["lwt_future_rolls.BTCUSD.200ms", "price_index.BTCUSD", "underlying_statistics.BTCUSD", "index_components.BTCUSD"]
        public += [f"base_price.BTCUSD.{future['expiry_date']}", "instruments", "banners", "rfqs", "system"]
        assert await a.ask("public/subscribe", channels=public) == public

        # Orders, fills of both sides, amends, deaths.
        order = await a.ask("private/insert", direction="buy", instrument_name=BTC, amount=0.1, price=50000, client_order_id=1, label="x")
        await a.ask("private/insert", expect=2, direction="buy", instrument_name=BTC, amount=0.1, price=50000, client_order_id=1)
        await a.ask("private/amend", client_order_id=1, price=50001, amount=0.2)
        await a.ask("private/cancel", order_id=order["order_id"])
        await a.ask("private/cancel", expect=1, order_id=order["order_id"])
        for name in (BTC, option, roll, future["instrument_name"]):
            await a.ask("private/sell", instrument_name=name, amount=0.1, order_type="market", label="y")
            await a.ask("private/buy", instrument_name=name, amount=0.1, order_type="market", reduce_only=name == BTC)
        await a.ask("private/buy", instrument_name=BTC, amount=0.1, price=50000, time_in_force="immediate_or_cancel")
        await a.ask("private/set_mm_protection", product="FBTCUSD", trade_amount=0.2, quote_amount=1)
        await a.ask("private/set_mm_protection", product="OBTCUSD", trade_amount=10, quote_amount=10)
        mid = (await a.ask("public/ticker", instrument_name=BTC))["best_bid_price"]
        quotes = [
            {"i": BTC, "b": [[mid - 100, 0.1], [mid - 101, 0.1]], "a": {"p": mid + 100, "a": 0.1}},
            {"i": option, "b": {"p": 5, "a": 0.1}}, {"i": BTC, "a": {"p": mid + 100.5, "a": 0.1}},
        ]
        assert (await a.ask("private/mass_quote", quotes=quotes, label="mq"))["n_fail"] == 1
        await a.ask("private/mass_quote", quotes=[{"i": BTC, "b": [[mid - 100, 0.1], [mid - 102, 0.1]]}])
        # Two traders meet: the quote that stands in front is hit until its protection is gone.
        bid = (await a.ask("public/ticker", instrument_name=roll))["best_bid_price"]
        await a.ask("private/mass_quote", quotes=[{"i": roll, "b": {"p": bid + 1, "a": 0.3}}])
        await b.ask("private/sell", instrument_name=roll, amount=0.3, price=bid + 1)
        await a.ask("private/cancel_mass_quote", product="OBTCUSD")

        stop = await a.ask("private/create_conditional_order", direction="sell", instrument_name=BTC, amount=0.1, stop_price=20000, target="mark")
        await a.ask("private/create_conditional_order", direction="buy", instrument_name=BTC, amount=0.1, stop_price=20000, target="index")
        await a.ask("private/cancel_conditional_order", order_id=stop["order_id"])
        await a.ask("private/open_conditional_orders")
        legs = [{"instrument_name": option, "amount": 0.2}, {"instrument_name": options[0]["instrument_name"], "amount": -0.1}]
        rfq = (await b.ask("private/create_rfq", legs=legs, label="z"))["rfq_id"]
        await a.ask("private/mm_rfq_insert_quote", rfq_id=rfq, direction="buy", price=120.5, amount=0.1, client_order_id=7)
        await a.ask("private/mm_rfq_amend_quote", client_order_id=7, price=121, amount=0.1)
        for name in ("mm_rfqs", "mm_rfq_quotes", "open_rfqs", "bots"):
            await a.ask("private/" + name)
        await b.ask("private/open_rfqs")
        await b.ask("private/trade_rfq", expect=37, rfq_id=rfq, direction="sell", limit_price=1)
        await a.ask("private/mm_rfq_delete_quote", client_order_id=7)
        await b.ask("private/cancel_rfq", rfq_id=rfq)

        # The database catches up, marks move, the conditional order is triggered.
        await a.listen(5.5)
        await b.listen(0.2)
        await a.ask("private/conditional_orders")
        for name in ("open_orders", "order_history", "trade_history", "portfolio", "account_summary", "account_breakdown"):
            await a.ask("private/" + name)
        await a.ask("private/required_margin_for_order", instrument_name=BTC, price=60000, amount=1)
        await a.ask("private/required_margin_breakdown", expect=37)
        await a.ask("private/cancel_session")
        await a.ask("private/cancel_all_conditional_orders")
        await a.ask("private/cancel_all")
        assert set(await a.ask("unsubscribe", channels=public + private)) == set(public + private)
        await a.listen(0.3)


def main():
    url, key_file, path = sys.argv[1:4]
    with open(key_file, encoding="ascii") as file:
        key = file.read()
    with open(path, "w", encoding="utf-8") as record:
        asyncio.run(asyncio.wait_for(tour(url, key, record), 60))


if __name__ == "__main__":
    main()
