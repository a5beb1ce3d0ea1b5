"""One session of ccxt.pro, unmodified, against a simulated Deribit: market data and account feeds over WebSocket, orders over
signed HTTP requests.

Usage: deribit_ccxt.py <port> <client id> <file with the secret> [certificate to trust, for TLS]
Prints a line of JSON with what it did; an AssertionError says what was not as it should be.
"""

import asyncio
import json
import sys

import ccxt.pro

LIMIT = 20.0


async def within(task):
    return await asyncio.wait_for(task, LIMIT)


async def main():
    port, client, path = sys.argv[1:4]
    with open(path) as file:
        secret = file.read().strip()
    options = {"apiKey": client, "secret": secret}
    if len(sys.argv) > 4:
        options["cafile"] = sys.argv[4]
    exchange = ccxt.pro.deribit(options)
    s = "s" if len(sys.argv) > 4 else ""
    exchange.urls["api"] = {"rest": f"http{s}://127.0.0.1:{port}", "ws": f"ws{s}://127.0.0.1:{port}/ws/api/v2"}
    try:
        return await session(exchange)
    finally:
        await exchange.close()


async def session(exchange):
    markets = await within(exchange.load_markets())
    for symbol in ("BTC/USD:BTC", "ETH/USD:ETH", "BTC/USDC:USDC", "ETH/USDC:USDC"):
        assert symbol in markets, f"{symbol} is not listed: {list(markets)}"
    assert markets["BTC/USD:BTC"]["inverse"] and markets["BTC/USDC:USDC"]["linear"]
    assert markets["BTC/USD:BTC"]["contractSize"] == 10
    report = {"fills": [], "symbols": len(markets)}

    for symbol, amount, tick in (("BTC/USD:BTC", 100, 0.5), ("BTC/USDC:USDC", 0.01, 0.1)):
        book = await within(exchange.watch_order_book(symbol))
        bid, ask = book["bids"][0][0], book["asks"][0][0]
        assert bid < ask, f"a crossed book: {bid} and {ask}"
        ticker = await within(exchange.watch_ticker(symbol))
        assert ticker["bid"] <= ticker["ask"]

        orders = asyncio.create_task(exchange.watch_orders(symbol))
        await asyncio.sleep(0.5)
        price = round(bid - 100 * tick, 1)
        placed = await within(
            exchange.create_order(symbol, "limit", "buy", amount, price, {"postOnly": True, "label": "x 1"})
        )
        assert placed["status"] == "open" and placed["price"] == price, placed
        told = await within(orders)
        assert told[-1]["id"] == placed["id"], told
        edited = await within(exchange.edit_order(placed["id"], symbol, "limit", "buy", amount, round(price - tick, 1)))
        assert edited["id"] == placed["id"] and edited["price"] == round(price - tick, 1), edited
        found = await within(exchange.fetch_open_orders(symbol))
        assert [order["id"] for order in found] == [placed["id"]], found
        cancelled = await within(exchange.cancel_order(placed["id"], symbol))
        assert cancelled["status"] == "canceled", cancelled
        assert (await within(exchange.fetch_order(placed["id"], symbol)))["status"] == "canceled"

        trades = asyncio.create_task(exchange.watch_my_trades(symbol))
        await asyncio.sleep(0.5)
        taken = await within(
            exchange.create_order(symbol, "limit", "buy", amount, round(ask + 100 * tick, 1), {"timeInForce": "IOC"})
        )
        assert taken["status"] == "closed" and taken["filled"] == amount, taken
        mine = await within(trades)
        assert mine[-1]["order"] == taken["id"] and mine[-1]["takerOrMaker"] == "taker", mine
        history = await within(exchange.fetch_my_trades(symbol))
        assert [trade["id"] for trade in history] == [trade["id"] for trade in mine], (history, mine)
        report["fills"].append(taken["filled"])
        public = await within(exchange.watch_trades(symbol))
        assert public[-1]["price"] > 0

    # A price out of the band and an amount between contracts are errors that ccxt knows how to raise.
    for price, amount in ((1_000_000, 10), (50_000, 10)):
        try:
            await within(exchange.create_order("BTC/USD:BTC", "limit", "buy" if price > 90_000 else "sell", amount, price))
        except ccxt.ExchangeError:
            continue
        raise AssertionError(f"{amount} at {price} was not refused")

    positions = {position["symbol"]: position for position in await within(exchange.fetch_positions())}
    assert positions["BTC/USD:BTC"]["side"] == "long" and positions["BTC/USDC:USDC"]["side"] == "long", positions
    balance = await within(exchange.fetch_balance())
    assert 0 < balance["BTC"]["total"] < 10 and 0 < balance["USDC"]["total"], balance
    report["balance"] = balance["BTC"]["total"]
    assert await within(exchange.cancel_all_orders("BTC/USD:BTC")) is not None
    return report


print(json.dumps(asyncio.run(main())))
