"""One session of ccxt.pro, unmodified, against a simulated Bybit: market data, account streams and orders over WebSocket,
queries and orders over signed HTTP requests.

Usage: bybit_ccxt.py <port> <key> <file with the secret> [certificate to trust, for TLS]
Prints a line of JSON with what it did; an AssertionError says what was not as it should be.
"""

import asyncio
import json
import sys

import ccxt.pro

LIMIT = 20.0
SYMBOL = "BTC/USDT:USDT"


async def within(task):
    return await asyncio.wait_for(task, LIMIT)


def client(port, key, secret, certificate):
    options = {"apiKey": key, "secret": secret, "options": {"defaultType": "swap"}}
    if certificate:
        options["cafile"] = certificate
    exchange = ccxt.pro.bybit(options)
    s = "s" if certificate else ""
    rest, ws = f"http{s}://127.0.0.1:{port}", f"ws{s}://127.0.0.1:{port}"
    for name, url in list(exchange.urls["api"].items()):
        if isinstance(url, str):
            exchange.urls["api"][name] = rest
    exchange.urls["api"]["ws"] = {
        "public": {kind: f"{ws}/v5/public/{kind}" for kind in ("spot", "linear", "inverse", "option")},
        "private": {
            "spot": {"unified": ws + "/v5/private", "nonUnified": ws + "/spot/private/v3"},
            "contract": ws + "/v5/private",
            "usdc": ws + "/trade/option/usdc/private/v1",
            "trade": ws + "/v5/trade",
        },
    }
    return exchange


async def main():
    port, key, path = sys.argv[1:4]
    with open(path) as file:
        secret = file.read().strip()
    exchange = client(port, key, secret, sys.argv[4] if len(sys.argv) > 4 else None)
    try:
        return await session(exchange)
    finally:
        await exchange.close()


async def until(watch, condition, what):
    """Watches until a record fits."""
    loop = asyncio.get_running_loop()
    end = loop.time() + LIMIT
    while loop.time() < end:
        for record in await within(watch()):
            if condition(record):
                return record
    raise AssertionError(f"not told: {what}")


async def session(exchange):
    markets = await within(exchange.load_markets())
    assert {"BTC/USDT:USDT", "ETH/USDT:USDT", "XRP/USDT:USDT"} <= set(markets), list(markets)
    market = markets[SYMBOL]
    assert market["linear"] and market["precision"]["price"] == 0.1 and market["precision"]["amount"] == 0.001, market
    report = {"symbols": len(markets)}

    for depth in (1, 50, 200):
        book = await within(exchange.watch_order_book(SYMBOL, depth))
        assert 0 < len(book["bids"]) <= depth and book["bids"][0][0] < book["asks"][0][0], book
    for _ in range(10):
        book = await within(exchange.watch_order_book(SYMBOL, 50))
        assert book["bids"][0][0] < book["asks"][0][0], "a crossed book"
    bid, ask = book["bids"][0][0], book["asks"][0][0]
    ticker = await within(exchange.watch_ticker(SYMBOL))
    assert ticker["bid"] < ticker["ask"] and ticker["info"]["fundingRate"], ticker
    asked = await within(exchange.fetch_order_book(SYMBOL, 10))
    assert len(asked["bids"]) == 10 and asked["bids"][0][0] < asked["asks"][0][0], asked
    assert (await within(exchange.fetch_ticker(SYMBOL)))["markPrice"] > 0
    assert abs(await within(exchange.fetch_time()) - exchange.milliseconds()) < 5000

    # Orders by HTTP: placed, told, amended, cancelled.
    orders = asyncio.create_task(exchange.watch_orders(SYMBOL))
    await asyncio.sleep(0.5)
    price = round(bid - 20, 1)
    placed = await within(
        exchange.create_order(SYMBOL, "limit", "buy", 0.01, price, {"postOnly": True, "clientOrderId": "x-1"})
    )
    told = await within(orders)
    assert told[-1]["id"] == placed["id"] and told[-1]["status"] == "open", told
    assert told[-1]["clientOrderId"] == "x-1" and told[-1]["postOnly"], told
    edited = await within(exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, round(price - 1, 1)))
    assert edited["id"] == placed["id"], edited
    found = await within(exchange.fetch_open_orders(SYMBOL))
    assert [(order["id"], order["price"], order["amount"]) for order in found] == [
        (placed["id"], round(price - 1, 1), 0.02)
    ], found
    await within(exchange.cancel_order(placed["id"], SYMBOL))
    ended = await until(
        lambda: exchange.watch_orders(SYMBOL),
        lambda order: order["id"] == placed["id"] and order["status"] == "canceled",
        "the end of a cancelled order",
    )
    assert ended["filled"] == 0, ended
    assert [order["id"] for order in await within(exchange.fetch_canceled_orders(SYMBOL))] == [placed["id"]]

    # Orders over their own WebSocket.
    placed = await within(
        exchange.create_order_ws(SYMBOL, "limit", "sell", 0.01, round(ask + 20, 1), {"timeInForce": "PostOnly"})
    )
    assert placed["id"], placed
    await within(exchange.edit_order_ws(placed["id"], SYMBOL, "limit", "sell", 0.01, round(ask + 21, 1)))
    found = await within(exchange.fetch_open_orders(SYMBOL))
    assert [order["price"] for order in found] == [round(ask + 21, 1)], found
    await within(exchange.cancel_order_ws(placed["id"], SYMBOL))
    assert await within(exchange.fetch_open_orders(SYMBOL)) == []

    # An order that takes, with what the streams say of it.
    trades = asyncio.create_task(exchange.watch_my_trades(SYMBOL))
    # The first answer is what there is.
    assert await within(exchange.watch_positions([SYMBOL])) == []
    positions = asyncio.create_task(exchange.watch_positions([SYMBOL]))
    balance = asyncio.create_task(exchange.watch_balance())
    await asyncio.sleep(1)
    taken = await within(
        exchange.create_order(SYMBOL, "limit", "buy", 0.01, round(ask + 20, 1), {"timeInForce": "IOC"})
    )
    mine = await within(trades)
    assert mine[-1]["order"] == taken["id"] and mine[-1]["takerOrMaker"] == "taker", mine
    assert mine[-1]["fee"]["currency"] == "USDT" and mine[-1]["fee"]["cost"] > 0, mine
    position = (await within(positions))[-1]
    assert position["side"] == "long" and position["contracts"] == 0.01, position
    assert (await within(balance))["USDT"]["total"] < 1_000_000
    history = await within(exchange.fetch_my_trades(SYMBOL))
    assert {trade["id"] for trade in mine} <= {trade["id"] for trade in history}, (history, mine)
    public = await within(exchange.watch_trades(SYMBOL))
    assert public[-1]["price"] > 0 and public[-1]["id"]
    report["bought"] = sum(trade["amount"] for trade in history)

    # Several at once, and all at once.
    made = await within(
        exchange.create_orders(
            [
                {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": round(bid - 20 - place, 1)}
                for place in range(3)
            ]
        )
    )
    assert len({order["id"] for order in made}) == 3, made
    assert len(await within(exchange.fetch_open_orders(SYMBOL))) == 3
    await within(exchange.cancel_all_orders(SYMBOL))
    assert await within(exchange.fetch_open_orders(SYMBOL)) == []

    # What is refused has the kind of error that ccxt makes of it.
    for amount, price, error in (
        (0.0005, bid, ccxt.InvalidOrder),
        (1000, round(bid - 20, 1), ccxt.InsufficientFunds),
    ):
        try:
            await within(exchange.create_order(SYMBOL, "limit", "buy", amount, price))
        except error:
            continue
        raise AssertionError(f"{amount} at {price} was not refused")
    try:
        await within(exchange.cancel_order("00000000-0000-0000-0000-000000000000", SYMBOL))
    except ccxt.OrderNotFound:
        pass
    else:
        raise AssertionError("an unknown order was cancelled")
    return report


print(json.dumps(asyncio.run(main())))
