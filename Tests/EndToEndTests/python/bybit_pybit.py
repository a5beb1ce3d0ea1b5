"""One session of pybit, unmodified, against a simulated Bybit: market data, account streams and orders over WebSocket,
queries and orders over signed HTTP requests. Only the addresses are changed, which pybit keeps in module constants.

Usage: bybit_pybit.py <port> <key> <file with the secret> [certificate to trust, for TLS]
Prints a line of JSON with what it did; an AssertionError says what was not as it should be.
"""

import json
import logging
import os
import queue
import sys
import time

port, key, path = sys.argv[1:4]
certificate = sys.argv[4] if len(sys.argv) > 4 else None
if certificate:
    os.environ["WEBSOCKET_CLIENT_CA_BUNDLE"] = certificate

import pybit._http_manager as http_manager
import pybit._websocket_trading as websocket_trading
import pybit.unified_trading as unified
from pybit.exceptions import InvalidRequestError

S = "s" if certificate else ""
SOCKET = f"ws{S}://127.0.0.1:{port}"
unified.PUBLIC_WSS = SOCKET + "/v5/public/{CHANNEL_TYPE}"
unified.PRIVATE_WSS = SOCKET + "/v5/private"
websocket_trading.TRADE_WSS = SOCKET + "/v5/trade"
http_manager.HTTP_URL = f"http{S}://127.0.0.1:{port}"

LIMIT = 20.0
SYMBOL = "BTCUSDT"
LINEAR = {"category": "linear", "symbol": SYMBOL}


class Complaints(logging.Handler):
    """What pybit itself finds wrong with the messages."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []

    def emit(self, record):
        self.found.append(record.getMessage())


def until(records, fits, what):
    """The first record of a queue that fits."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            record = records.get(timeout=max(0.01, end - time.monotonic()))
        except queue.Empty:
            break
        if fits(record):
            return record
    raise AssertionError(f"not told: {what}")


class Trader:
    """Requests over the trade connection, one at a time."""

    def __init__(self, socket):
        self.socket = socket
        self.answers = queue.Queue()

    def ask(self, name, **order):
        getattr(self.socket, name)(self.answers.put, error_callback=self.answers.put, **order)
        return self.answers.get(timeout=LIMIT)


def limit(side, quantity, price, link, lifetime="PostOnly"):
    return {
        "symbol": SYMBOL,
        "side": side,
        "orderType": "Limit",
        "qty": quantity,
        "price": f"{price:.1f}",
        "timeInForce": lifetime,
        "orderLinkId": link,
    }


def main():
    with open(path) as file:
        secret = file.read().strip()
    complaints = Complaints()
    logging.getLogger("pybit").addHandler(complaints)
    names = {"testnet": False, "api_key": key, "api_secret": secret}

    http = unified.HTTP(**names)
    if certificate:
        http.client.verify = certificate
    market = unified.WebSocket(channel_type="linear", testnet=False)
    account = unified.WebSocket(channel_type="private", **names)
    trader = Trader(unified.WebSocketTrading(**names))
    report = {}

    # Market data: every message of a book must fit the one before, or pybit's own book would fall apart.
    books, trades, tickers = queue.Queue(), queue.Queue(), queue.Queue()
    for depth in (1, 50, 200):
        market.orderbook_stream(depth, SYMBOL, books.put)
    market.trade_stream(SYMBOL, trades.put)
    market.ticker_stream(SYMBOL, tickers.put)
    seen = {}
    end = time.monotonic() + 3
    while time.monotonic() < end or len(seen) < 3:
        message = books.get(timeout=LIMIT)
        depth = int(message["topic"].split(".")[1])
        bids = sorted((float(price) for price, _ in message["data"]["b"]), reverse=True)
        asks = sorted(float(price) for price, _ in message["data"]["a"])
        assert 0 < len(bids) <= depth and 0 < len(asks) <= depth, (len(bids), len(asks), depth)
        assert bids[0] < asks[0], f"a crossed book: {message}"
        seen[depth] = seen.get(depth, 0) + 1
        bid, ask = bids[0], asks[0]
    assert seen[50] > 5, seen
    ticker = until(tickers, lambda message: message["type"] == "snapshot", "a ticker")["data"]
    assert float(ticker["bid1Price"]) < float(ticker["ask1Price"]) and ticker["nextFundingTime"], ticker
    report["books"] = sum(seen.values())

    asked = http.get_orderbook(category="linear", symbol=SYMBOL, limit=5)["result"]
    assert len(asked["b"]) == 5 and float(asked["b"][0][0]) < float(asked["a"][0][0]), asked
    listed = http.get_instruments_info(category="linear", limit=1000)["result"]["list"]
    assert {"BTCUSDT", "ETHUSDT"} <= {instrument["symbol"] for instrument in listed}
    assert abs(int(http.get_server_time()["result"]["timeSecond"]) - time.time()) < 5
    band = http.get_price_limit(category="linear", symbol=SYMBOL)["result"]
    assert float(band["sellLmt"]) < bid < ask < float(band["buyLmt"]), band

    # Orders over their WebSocket, with what the account streams say.
    orders, executions, positions, wallets = (queue.Queue() for _ in range(4))
    account.order_stream(lambda message: [orders.put(record) for record in message["data"]])
    account.execution_stream(lambda message: [executions.put(record) for record in message["data"]])
    account.position_stream(lambda message: [positions.put(record) for record in message["data"]])
    account.wallet_stream(lambda message: [wallets.put(record) for record in message["data"]])
    time.sleep(0.5)

    low, high = round(bid - 20, 1), round(ask + 20, 1)
    placed = trader.ask("place_order", category="linear", **limit("Buy", "0.010", low, "p-1"))
    assert placed["retCode"] == 0 and placed["data"]["orderLinkId"] == "p-1", placed
    number = placed["data"]["orderId"]
    new = until(orders, lambda order: order["orderId"] == number, "a new order")
    assert new["orderStatus"] == "New" and float(new["price"]) == low, new
    amended = trader.ask("amend_order", category="linear", symbol=SYMBOL, orderLinkId="p-1", price=f"{low - 1:.1f}")
    assert amended["retCode"] == 0 and amended["data"]["orderId"] == number, amended
    until(orders, lambda order: order["orderId"] == number and float(order["price"]) == low - 1, "an amended order")
    again = trader.ask("place_order", category="linear", **limit("Buy", "0.010", low, "p-1"))
    assert again["retCode"] == 110072, again
    open_orders = http.get_open_orders(**LINEAR)["result"]["list"]
    assert [order["orderId"] for order in open_orders] == [number], open_orders
    assert trader.ask("cancel_order", category="linear", symbol=SYMBOL, orderId=number)["retCode"] == 0
    ended = until(orders, lambda order: order["orderStatus"] == "Cancelled", "a cancelled order")
    assert ended["orderId"] == number and ended["cancelType"] == "CancelByUser", ended
    assert trader.ask("cancel_order", category="linear", symbol=SYMBOL, orderId=number)["retCode"] == 110001

    crossing = trader.ask("place_order", category="linear", **limit("Buy", "0.010", high, "p-2"))
    assert crossing["retCode"] == 0, crossing
    ended = until(orders, lambda order: order["orderLinkId"] == "p-2", "a post-only order that crossed")
    assert ended["orderStatus"] == "Cancelled" and ended["rejectReason"] == "EC_PostOnlyWillTakeLiquidity", ended

    batch = trader.ask(
        "place_batch_order",
        category="linear",
        request=[limit("Buy", "0.010", low, "b-1"), limit("Buy", "0.0105", low, "b-2"), limit("Sell", "0.010", high, "b-3")],
    )
    assert [item["code"] for item in batch["retExtInfo"]["list"]] == [0, 10001, 0], batch
    batch = trader.ask(
        "cancel_batch_order",
        category="linear",
        request=[{"symbol": SYMBOL, "orderLinkId": link} for link in ("b-1", "b-3")],
    )
    assert [item["code"] for item in batch["retExtInfo"]["list"]] == [0, 0], batch

    # An order that takes.
    taken = trader.ask("place_order", category="linear", **limit("Sell", "0.020", low, "t-1", "IOC"))
    assert taken["retCode"] == 0, taken
    filled = until(orders, lambda order: order["orderLinkId"] == "t-1", "a filled order")
    assert filled["orderStatus"] == "Filled" and float(filled["cumExecQty"]) == 0.02, filled
    fills = [until(executions, lambda fill: fill["orderLinkId"] == "t-1", "an execution")]
    while float(fills[-1]["leavesQty"]) > 0:
        fills.append(until(executions, lambda fill: fill["orderLinkId"] == "t-1", "an execution"))
    assert abs(sum(float(fill["execQty"]) for fill in fills) - 0.02) < 1e-9 and not fills[0]["isMaker"], fills
    position = until(positions, lambda position: position["side"] == "Sell", "a position")
    assert float(position["size"]) > 0, position
    until(wallets, lambda wallet: float(wallet["coin"][0]["walletBalance"]) < 1_000_000, "a balance after fees")
    until(trades, lambda message: message["data"][0]["s"] == SYMBOL, "a public trade")

    # The same by HTTP.
    executed = http.get_executions(category="linear")["result"]["list"]
    assert {fill["execId"] for fill in executed} == {fill["execId"] for fill in fills}, (executed, fills)
    rows = http.get_positions(category="linear", settleCoin="USDT")["result"]["list"]
    assert [(row["symbol"], row["side"], float(row["size"])) for row in rows] == [(SYMBOL, "Sell", 0.02)], rows
    balance = http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
    assert 0 < float(balance["totalEquity"]) < 1_000_000, balance
    placed = http.place_order(category="linear", **limit("Buy", "0.010", low, "h-1"))["result"]
    http.amend_order(**LINEAR, orderId=placed["orderId"], qty="0.020")
    http.place_batch_order(category="linear", request=[limit("Buy", "0.010", low - 1, "h-2")])
    cancelled = http.cancel_all_orders(**LINEAR)["result"]["list"]
    assert {order["orderLinkId"] for order in cancelled} == {"h-1", "h-2"}, cancelled
    closed = http.get_order_history(category="linear", limit=1)["result"]
    assert len(closed["list"]) == 1 and closed["nextPageCursor"], closed
    following = http.get_order_history(category="linear", limit=1, cursor=closed["nextPageCursor"])["result"]["list"]
    assert following and following[0]["orderId"] != closed["list"][0]["orderId"], following
    fees = http.get_fee_rates(**LINEAR)["result"]["list"]
    assert float(fees[0]["takerFeeRate"]) > float(fees[0]["makerFeeRate"]), fees
    for wrong, code in ((limit("Buy", "0.0105", low, "w-1"), 10001), (limit("Buy", "1000", low, "w-2"), 110007)):
        try:
            http.place_order(category="linear", **wrong)
        except InvalidRequestError as error:
            assert error.status_code == code, error
            continue
        raise AssertionError(f"not refused: {wrong}")
    report["sold"] = sum(float(fill["execQty"]) for fill in fills)
    assert not complaints.found, complaints.found
    for socket in (market, account, trader.socket):
        socket.exit()
    return report


print(json.dumps(main()))
