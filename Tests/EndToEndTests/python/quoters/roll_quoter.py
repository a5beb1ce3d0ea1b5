"""Quotes the rolls into the perpetual that expire within two days, around the difference of the legs' marks."""

from desk import Orders, run
from thalex import Direction

AMOUNT = 0.1


async def quote(desk):
    await desk.login()
    await desk.send("public_subscribe", ["instruments", "price_index.BTCUSD"], id=2)
    await desk.send("private_subscribe", ["session.orders", "account.trade_history", "account.portfolio"], id=12)
    orders = Orders(desk, "R")
    instruments, tickers, slots = {}, {}, {}
    index = None
    async for message in desk.messages():
        orders.take(message)
        orders.refused(message)
        channel = message.get("channel_name", "")
        body = message.get("notification")
        if channel == "instruments":
            for item in body:
                if "added" in item:
                    instruments[item["added"]["instrument_name"]] = item["added"]
                else:
                    instruments.pop(item["removed"]["instrument_name"], None)
            if "BTC-PERPETUAL" not in instruments:
                raise AssertionError("the first instruments message lacks the perpetual")
            futures = [name for name, i in instruments.items() if i["type"] == "future" and i["underlying"] == "BTCUSD"]
            for roll in (i for i in instruments.values() if i["type"] == "combination"):
                far = [leg["instrument_name"] for leg in roll["legs"] if not leg["instrument_name"].endswith("PERPETUAL")]
                assert all(name in futures for name in far), f"a leg of {roll} is not listed"
                assert roll["expiration_timestamp"] > 0 and roll["tick_size"] > 0
            # Again after every change, duplicates included.
            await desk.send("public_subscribe", ["ticker.BTC-PERPETUAL.1000ms"], id=13)
            await desk.send("public_subscribe", [f"ticker.{name}.1000ms" for name in futures], id=14)
        elif channel.startswith("ticker."):
            name = channel.split(".")[1]
            wanted = ["mark_price", "mark_timestamp"] + (["funding_rate", "index"] if name.endswith("PERPETUAL") else ["delta", "forward"])
            assert all(key in body for key in wanted), f"{channel}: {body}"
            tickers[name] = body
        elif channel.startswith("price_index."):
            index = body
            continue
        else:
            continue
        now = index["timestamp"] if index else None
        for roll in instruments.values():
            if roll["type"] != "combination" or now is None or roll["expiration_timestamp"] - now > 2 * 86400:
                continue
            name = roll["instrument_name"]
            far, near = (leg["instrument_name"] for leg in sorted(roll["legs"], key=lambda leg: -leg["quantity"]))
            if far not in tickers or near not in tickers:
                continue
            fair = tickers[far]["mark_price"] - tickers[near]["mark_price"]
            for side, sign in ((Direction.BUY, -1), (Direction.SELL, 1)):
                price = round(fair / roll["tick_size"] + sign) * roll["tick_size"]
                slot = slots.setdefault((name, side), {})
                await orders.quote(slot, name, side, price, AMOUNT, 0.5)


run(__doc__, quote)
