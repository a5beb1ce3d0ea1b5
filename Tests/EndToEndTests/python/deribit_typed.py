"""One session of typed-deribit, unmodified, against a simulated Deribit: order entry over WebSocket, queries over signed HTTP
requests, and every answer and notification validated against the client's schemas.

Usage: deribit_typed.py <port> <client id> <file with the secret>
Prints a line of JSON with what it did; an AssertionError says what was not as it should be.
"""

import asyncio
import json
import sys
import warnings

from typed_core.exceptions import ApiError
from typed_core.http import HttpClient
from typed_deribit import Deribit
from typed_deribit.core.auth import Credentials
from typed_deribit.core.transport.http import HmacHttpRpcClient, OAuthHttpRpcClient
from typed_deribit.core.transport.ws import SocketRpcStreamClient

# Of the client's own requests, which it serialises as unions.
warnings.filterwarnings("ignore", message="Pydantic serializer warnings")

BTC = "BTC-PERPETUAL"
LIMIT = 20.0


def client_of(http_kind, port, credentials):
    return Deribit(
        rpc_client=http_kind(
            http=HttpClient(), base_url=f"http://127.0.0.1:{port}/api/v2", credentials=credentials, validate=True
        ),
        ws_client=SocketRpcStreamClient.new(
            f"ws://127.0.0.1:{port}/ws/api/v2", credentials=credentials, heartbeat_interval=10
        ),
    )


async def first(stream):
    async for item in stream:
        return item


async def refused(code, request):
    try:
        await request
    except ApiError as error:
        assert error.args[0] == code, f"error {error.args} instead of {code}"
        return
    raise AssertionError(f"nothing was refused with {code}")


async def session(deribit):
    report = {}
    # The socket logs in with its first private request.
    assert await deribit.trading.get_open_orders(transport="ws") == []
    assert await deribit.session.enable_cancel_on_disconnect(transport="ws") == "ok"
    async with deribit.streams.market_data.book(BTC, interval="raw") as stream:
        book = await asyncio.wait_for(first(stream), LIMIT)
        assert book["type"] == "snapshot" and book["change_id"] > 2**53, book
    instruments = await deribit.market_data.get_instruments("any")
    report["instruments"] = len(instruments)
    assert len(await deribit.market_data.get_currencies()) == 3
    assert len((await deribit.market_data.get_order_book(BTC, depth=20))["bids"]) > 10
    ticker = await deribit.market_data.ticker(BTC)
    bid, ask = ticker["best_bid_price"], ticker["best_ask_price"]

    async with deribit.streams.user.changes_by_instrument(BTC, interval="raw") as changes:
        placed = await deribit.trading.buy(
            {
                "instrument_name": BTC, "amount": 10, "price": bid - 50, "type": "limit", "label": "t1",
                "post_only": True, "reject_post_only": True,
            },
            transport="ws",
        )
        order = placed["order"]
        assert order["order_state"] == "open" and placed["trades"] == [], placed
        told = await asyncio.wait_for(first(changes), LIMIT)
        assert told["orders"][0]["order_id"] == order["order_id"], told
        edited = await deribit.trading.edit(
            order_id=order["order_id"], amount=20, price=bid - 60, post_only=True, transport="ws"
        )
        assert edited["order"]["replaced"] and edited["order"]["amount"] == 20, edited
        assert (await deribit.trading.get_order_state(order["order_id"]))["order_state"] == "open"
        by_label = await deribit.trading.get_order_state_by_label(currency="BTC", label="t1")
        assert [item["order_id"] for item in by_label] == [order["order_id"]]
        cancelled = await deribit.trading.cancel(order["order_id"], transport="ws")
        assert cancelled["cancel_reason"] == "user_request", cancelled
        await refused(11044, deribit.trading.cancel(order["order_id"], transport="ws"))
        await refused(
            11054,
            deribit.trading.buy(
                {
                    "instrument_name": BTC, "amount": 10, "price": ask + 50, "type": "limit", "post_only": True,
                    "reject_post_only": True,
                },
                transport="ws",
            ),
        )
        taken = await deribit.trading.buy(
            {
                "instrument_name": BTC, "amount": 20, "price": ask + 50, "type": "limit",
                "time_in_force": "immediate_or_cancel",
            },
            transport="ws",
        )
        assert taken["order"]["order_state"] == "filled" and len(taken["trades"]) >= 1, taken
        while True:
            told = await asyncio.wait_for(first(changes), LIMIT)
            if told["trades"]:
                break
        assert told["positions"][0]["size"] == 20, told
        report["trade"] = taken["trades"][0]["trade_id"]

    group = {"index_name": "btc_usd", "mmp_group": "g"}
    config = await deribit.trading.set_mmp_config(
        **group, interval=10, frozen_time=30, quantity_limit=2.5, max_quote_quantity=5.0
    )
    assert config[0]["mmp_group"] == "g", config
    assert len(await deribit.trading.get_mmp_config()) == 1
    assert await deribit.trading.get_mmp_status() == []
    quoted = await deribit.trading.mass_quote(
        quote_id="1", mmp_group="g", detailed=True,
        quotes=[
            {
                "instrument_name": BTC, "quote_set_id": "s", "bid": {"price": bid - 80, "amount": 10},
                "ask": {"price": ask + 80, "amount": 10},
            }
        ],
    )
    assert len(quoted["orders"]) == 2 and quoted["errors"] == [], quoted
    groups = await deribit.trading.cancel_all(detailed=True)
    assert len(groups[0]["result"]) == 2, groups

    positions = await deribit.account.get_positions()
    assert positions[0]["size"] == 20, positions
    summary = await deribit.account.get_account_summary("BTC", extended=True)
    assert 9 < summary["equity"] < 11 and summary["limits"]["matching_engine"], summary
    assert len((await deribit.account.get_account_summaries())["summaries"]) == 3
    page = await deribit.trading.get_user_trades_by_instrument(BTC, count=1)
    assert page["trades"][0]["matching_id"] is None, page
    assert len(await deribit.trading.get_order_history_by_instrument(instrument_name=BTC, include_unfilled=True)) >= 2
    assert len((await deribit.market_data.get_last_trades_by_instrument(instrument_name=BTC))["trades"]) >= 1
    return report


async def main():
    port, client, path = sys.argv[1:4]
    with open(path) as file:
        credentials = Credentials(client, file.read().strip())
    async with client_of(HmacHttpRpcClient, port, credentials) as deribit:
        report = await session(deribit)
    async with client_of(OAuthHttpRpcClient, port, credentials) as deribit:
        assert (await deribit.account.get_positions())[0]["size"] == 20
    return report


print(json.dumps(asyncio.run(main())))
