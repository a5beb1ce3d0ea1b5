"""Mass quotes a whole chain of options around their marks, under market-maker protection that is hit and set again."""

import time

from desk import run
from thalex.thalex import Quote, SideQuote

PRODUCT = "OBTCUSD"
TRADE, LARGEST, AMOUNT = 1.0, 1.0, 0.2
PACK = 100


async def quote(desk):
    await desk.login()
    await desk.send("private_subscribe", ["session.orders", "session.mm_protection", "account.trade_history", "account.portfolio"], id=2)
    await desk.send("instruments", id=11)
    options = {i["instrument_name"]: i for i in await desk.answer(11) if i["product"] == PRODUCT}
    assert len(options) >= 300, f"only {len(options)} options are listed"
    await desk.send("set_mm_protection", PRODUCT, TRADE, LARGEST, id=10)
    assert await desk.answer(10) is None
    await desk.send("public_subscribe", ["lwt_options.BTCUSD.all.1000ms"], id=12)
    marks, sent = {}, {}
    armed, again = True, None
    request = 1000
    packs = {}
    async for message in desk.messages():
        channel = message.get("channel_name", "")
        body = message.get("notification")
        if channel.startswith("lwt_options."):
            for name, values in body["tickers"].items():
                assert len(values) == 8, f"{name}: {values}"
                marks[name] = values[1]
        elif channel == "session.mm_protection":
            for item in body:
                assert item["product"] == PRODUCT, item
                desk.counts["protection " + item["reason"]] += 1
                if item["reason"] == "executions" and item["remaining_amount"] <= 0:
                    # Hit: everything is gone. Set again a little later, then quote anew.
                    desk.counts["protection exhausted"] += 1
                    assert not desk.live(), f"quotes outlived their protection: {desk.live()[:3]}"
                    armed, again = False, time.monotonic() + 0.3
                    sent.clear()
        elif channel == "session.orders":
            continue
        elif "result" in message and message.get("id") in packs:
            sides = packs.pop(message["id"])
            result = message["result"]
            assert result["n_success"] + result["n_fail"] == sides, f"{sides} sides were sent: {result}"
            desk.counts["quotes accepted"] += result["n_success"]
            for error in result["errors"]:
                desk.errors[error["code"]] += 1
                # Sides that were under way when the protection was hit.
                assert error["code"] == 23, f"a side was refused: {error}"
        elif "error" in message and message.get("id") in packs:
            # Throttled: nothing of it is in force.
            packs.pop(message["id"])
            sent.clear()
        if not armed and again is not None and time.monotonic() >= again:
            await desk.send("set_mm_protection", PRODUCT, TRADE, LARGEST, id=10)
            armed, again = True, None
        if not armed:
            continue
        changed = []
        for name, mark in marks.items():
            tick = options[name]["tick_size"]
            bid = int(mark * 0.985 / tick) * tick
            ask = (int(mark * 1.015 / tick) + 1) * tick
            if sent.get(name) == (bid, ask):
                continue
            sent[name] = (bid, ask)
            # A bid of nothing is a bid taken away.
            changed.append(Quote(name, SideQuote(max(bid, 0), AMOUNT if bid > 0 else 0), SideQuote(ask, AMOUNT)))
        for start in range(0, len(changed), PACK):
            request += 1
            packs[request] = 2 * len(changed[start : start + PACK])
            await desk.send("mass_quote", changed[start : start + PACK], label="mq", post_only=True, id=request)
    quoted = {order["instrument_name"] for order in desk.orders.values()}
    desk.counts["instruments quoted"] = len(quoted)
    desk.counts["live at the end"] = len(desk.live())


run(__doc__, quote)
