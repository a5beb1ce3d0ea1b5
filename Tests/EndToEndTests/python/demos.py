"""What the smaller examples of the official client need, one after the other (section 10.7 of the protocol reference).

Usage: demos.py <url> <private key file>
Asks for quotes and trades strictly by request and reply, quotes such a request as a market maker, replicates the delta of an
option with market orders, and puts a stop below the market. An AssertionError names what was not as it should be.
"""

import asyncio
import json
import sys

import thalex
from thalex import Direction
from thalex.thalex import OrderType, RfqLeg

BTC = "BTC-PERPETUAL"


class Address:
    def __init__(self, url):
        self.value = url


async def connect(url, key, key_id):
    client = thalex.Thalex(network=Address(url))
    await client.connect()
    await client.login(key_id, key, id=1)
    assert "result" in await take(client)
    return client


async def take(client):
    return json.loads(await asyncio.wait_for(client.receive(), 20))


async def notification(client, channel):
    """The next message of a channel; replies in between must be no errors."""
    while True:
        message = await take(client)
        assert "error" not in message, message
        if message.get("channel_name") == channel:
            return message["notification"]


async def reply(client, number):
    while True:
        message = await take(client)
        if message.get("id") == number and "channel_name" not in message:
            assert "error" not in message, message
            return message["result"]


async def ask_for_quotes(url, key, legs):
    """The requester: no other message comes in between."""
    client = await connect(url, key, "K11")
    await client.create_rfq(legs=[RfqLeg(amount, name) for name, amount in legs], id=2)
    request = (await take(client))["result"]["rfq_id"]
    await client.open_rfqs(id=3)
    assert [item["rfq_id"] for item in (await take(client))["result"]] == [request]
    await client.trade_rfq(request, Direction.BUY, 1e6, id=4)
    answer = await take(client)
    # Nothing is quoted yet.
    assert answer["id"] == 4 and answer["error"]["code"] == 41, answer
    return client, request


async def quote_requests(url, key, request):
    """The market maker: all instruments first, their tickers, then the requests."""
    client = thalex.Thalex(network=Address(url))
    await client.connect()
    await client.instruments(id=2)
    first = await take(client)
    assert first["id"] == 2, "something came before the first reply"
    names = [item["instrument_name"] for item in first["result"]]
    await client.public_subscribe([f"ticker.{name}.1000ms" for name in names], id=3)
    await client.login("K12", key, id=4)
    await client.set_cancel_on_disconnect(timeout_secs=6, id=5)
    await client.private_subscribe(["mm.rfqs", "mm.rfq_quotes"], id=6)
    tickers, seen = {}, None
    while seen is None or len(tickers) < len(names):
        message = await take(client)
        assert "error" not in message, message
        channel = message.get("channel_name", "")
        if channel.startswith("ticker."):
            tickers[channel.split(".")[1]] = message["notification"]["mark_price"]
        elif channel == "mm.rfqs":
            seen = message["notification"]
    wanted = next(item for item in seen if item["rfq_id"] == request)
    assert wanted["amount"] > 0 and wanted["create_time"] > 0
    fair = sum(leg["quantity"] * tickers[leg["instrument_name"]] for leg in wanted["legs"])
    await client.mm_rfq_insert_quote(Direction.BUY, wanted["amount"], round(fair * 0.9), request, client_order_id=7, id=8)
    quote = await reply(client, 8)
    assert quote["rfq_id"] == request and quote["direction"] == "buy" and quote["client_order_id"] == 7, quote
    assert (await notification(client, "mm.rfq_quotes"))[0]["event"] == "Inserted"
    await client.disconnect()


async def replicate_delta(url, key, option):
    """Market orders in the perpetual bring it to an option's delta."""
    client = await connect(url, key, "K13")
    await client.set_cancel_on_disconnect(timeout_secs=5)
    await client.public_subscribe([f"ticker.{option}.1000ms", f"ticker.{BTC}.1000ms"])
    delta = (await notification(client, f"ticker.{option}.1000ms"))["delta"]
    await client.portfolio(id=1001)
    assert await reply(client, 1001) == []
    amount = round(abs(delta), 3)
    side = Direction.BUY if delta > 0 else Direction.SELL
    await client.insert(side, BTC, amount, order_type=OrderType.MARKET, id=1002)
    order = await reply(client, 1002)
    assert order["direction"] == side.value and abs(sum(fill["amount"] for fill in order["fills"]) - amount) < 1e-9, order
    await client.portfolio(id=1003)
    position = (await reply(client, 1003))[0]["position"]
    assert abs(position - (amount if delta > 0 else -amount)) < 1e-9
    await client.disconnect()


async def wait_below(url, key):
    """The first portfolio message starts it; a stop is placed and shows up."""
    client = await connect(url, key, "K14")
    await client.private_subscribe(["account.portfolio", "account.conditional_orders"], id=2)
    assert await notification(client, "account.portfolio") == []
    assert await notification(client, "account.conditional_orders") == []
    await client.create_conditional_order(Direction.SELL, BTC, 0.1, stop_price=20000, id=3)
    stop = await reply(client, 3)
    assert stop["status"] == "created" and stop["stop_price"] == 20000, stop
    listed = await notification(client, "account.conditional_orders")
    assert [(item["order_id"], item["status"]) for item in listed] == [(stop["order_id"], "active")]
    await client.disconnect()


async def main(url, key_file):
    with open(key_file, encoding="ascii") as file:
        key = file.read()
    counter = thalex.Thalex(network=Address(url))
    await counter.connect()
    await counter.instruments(id=1)
    options = [item for item in (await take(counter))["result"] if item["type"] == "option"]
    await counter.disconnect()
    name = options[len(options) // 2]["instrument_name"]
    asker, request = await ask_for_quotes(url, key, [(name, 0.2), (options[0]["instrument_name"], -0.1)])
    await quote_requests(url, key, request)
    await asker.disconnect()
    await replicate_delta(url, key, name)
    await wait_below(url, key)


asyncio.run(asyncio.wait_for(main(*sys.argv[1:3]), 60))
