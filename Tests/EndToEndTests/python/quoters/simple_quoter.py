"""One bid and one ask around the mark of a light ticker, pulled on every portfolio message."""

import json

from desk import run
from thalex import Direction

BID, ASK = 1001, 1002
# Half the spread; wide enough that a quote lives long enough to be amended.
HALF = 0.0005


async def quote(desk):
    name = desk.arguments.instrument
    tick, size, limit = (1, 0.1, 0.3) if name.startswith("BTC") else (0.1, 1, 3)
    quotes = {}
    position = None
    # When it falls behind, two marks wait in the socket, and the second one makes it insert again.
    desk.allowed.add(2)
    # Five messages at once, none waiting for an answer.
    await desk.send("login", desk.arguments.key_id, desk.private_key)
    await desk.send("set_cancel_on_disconnect", timeout_secs=6)
    await desk.send("public_subscribe", [f"lwt.{name}.1000ms"])
    await desk.send("private_subscribe", ["session.orders", "account.portfolio", "account.trade_history"])
    async for message in desk.messages():
        channel = message.get("channel_name")
        if channel == "account.portfolio":
            lines = {line["instrument_name"]: line["position"] for line in message["notification"]}
            position = lines.get(name, position or 0)
            quotes.clear()
            await desk.send("cancel_session")
        elif channel == "session.orders":
            for order in message["notification"]:
                quotes[order["direction"]] = order
        elif channel is not None and channel.startswith("lwt.") and position is not None:
            mark = message["notification"]["m"]
            wanted = [
                (Direction.BUY, BID, mark * (1 - HALF), min(size, limit - position)),
                (Direction.SELL, ASK, mark * (1 + HALF), min(size, limit + position)),
            ]
            # When the price rises the sale moves first, so that the two never meet.
            if "buy" in quotes and wanted[0][2] > quotes["buy"]["price"]:
                wanted.reverse()
            for direction, number, price, amount in wanted:
                price = round(round(price / tick) * tick, 8)
                amount = max(0, round(amount, 3))
                standing = quotes.get(direction.value)
                if standing and standing["status"] in ("open", "partially_filled"):
                    if abs(standing["price"] - price) > 2 * tick or amount == 0:
                        # Amending to 0 is how it pulls an order.
                        await desk.send("amend", amount=amount, price=price, client_order_id=number, id=number, request="insert")
                elif amount > 0:
                    await desk.send(
                        "insert", direction, name, amount, client_order_id=number, price=price, label="simple_quoter",
                        id=number)
        elif channel is None and "error" in message:
            quotes.clear()
            await desk.send("cancel_session")


run(__doc__, quote)
