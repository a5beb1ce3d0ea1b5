"""Two post-only levels a side around the index of a perpetual, on every raw ticker: fast enough to be throttled."""

from desk import Orders, run
from thalex import Direction

AMOUNTS = (0.2, 0.4)
THRESHOLD = 5


async def quote(desk):
    # The first message must be the answer to the first question.
    await desk.send("instruments", id=0)
    first = await desk.receive()
    assert first.get("id") == 0, f"something came before the first answer: {first}"
    underlying = desk.arguments.instrument.split("-")[0] + "USD"
    perpetual = next(i for i in first["result"] if i["type"] == "perpetual" and i["underlying"] == underlying)
    name, tick = perpetual["instrument_name"], perpetual["tick_size"]
    await desk.login()
    await desk.send("private_subscribe", ["session.orders", "account.portfolio", "account.trade_history"], id=2)
    await desk.send("public_subscribe", [f"ticker.{name}.raw", f"price_index.{underlying}"], id=12)
    orders = Orders(desk, "P")
    slots = {(side, level): {} for side in Direction for level in range(len(AMOUNTS))}
    index = ticker = None
    # The spread follows the market so that orders move often and are hit now and then.
    async for message in desk.messages():
        orders.take(message)
        orders.refused(message)
        channel = message.get("channel_name", "")
        body = message.get("notification")
        if channel.startswith("ticker."):
            assert all(key in body for key in ("mark_price", "index", "mark_timestamp", "funding_rate")), body
            ticker = body
        elif channel.startswith("price_index."):
            index = body["price"]
        else:
            continue
        if index is None or ticker is None:
            continue
        touch = {Direction.BUY: ticker.get("best_bid_price"), Direction.SELL: ticker.get("best_ask_price")}
        for (side, level), slot in slots.items():
            sign = 1 if side == Direction.SELL else -1
            base = touch[side] if touch[side] is not None else index
            price = round(round(base / tick + sign * THRESHOLD * level) * tick, 8)
            await orders.quote(slot, name, side, price, AMOUNTS[level], 0.5 * tick)


run(__doc__, quote)
