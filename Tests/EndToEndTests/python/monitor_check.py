#!/usr/bin/env python3
"""Is what `apus monitor` shows true, and does its page work?

usage: monitor_check.py APUS ROOM [PICTURES]

Starts a demo of three venues and a monitor in the directory ROOM, looks at the dashboard in chromium at three sizes in light and dark, puts
screenshots into PICTURES, stops the engine's process for a moment, and compares each figure of the page with /metrics,
/api/view with /metrics, and tools/telemetry with `apus top --once --json`. Without chromium the page is left out.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import time

from browser import Browser
from monitored import Monitored

# The least contrast of a text with what is behind it, and the text: WCAG 2.1 asks for 4.5.
CONTRAST = """(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  let least = [99, ""];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim())) continue;
    if (!node.checkVisibility() || node.closest("script,style,dialog")) continue;
    let behind = node, back = [0, 0, 0, 0];
    while (behind && (back = parse(getComputedStyle(behind).backgroundColor), back.length === 4 && back[3] === 0)) behind = behind.parentElement;
    const style = getComputedStyle(node), ink = parse(node instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x), ratio = (a + .05) / (b + .05);
    if (ratio < least[0]) least = [ratio, node.textContent.slice(0, 40)];
  }
  return least;
})()"""
NAMES = """[...document.querySelectorAll("section,figure svg.plot,select,button,[role=region]")]
  .filter(node => !(node.ariaLabel || node.getAttribute("aria-labelledby") || node.labels?.length || node.textContent.trim()))
  .map(node => node.outerHTML.slice(0, 80))"""


VENUES = ["thalex", "bybit", "deribit"]


def expect(condition, text):
    if not condition:
        raise SystemExit(f"monitor_check: {text}")


def look_at_page(shown, room, pictures):
    browser = Browser(room)
    try:
        browser.call("Network.enable")
        for width, height in [(1280, 900), (800, 1000), (390, 844)]:
            for dark in [False, True]:
                name = f"{width}x{height} {'dark' if dark else 'light'}"
                browser.look(width, height, dark, phone=width < 500)
                browser.open(shown.address + "/")
                browser.wait_for("document.body?.dataset.shown")
                # After a reload the past is there at once: the monitor keeps it.
                rows = browser.evaluate("times.length")
                expect(rows >= 4, f"{name}: only {rows} rows of history after loading")
                browser.evaluate("""window.shifts = 0; new PerformanceObserver(list => { for (const entry of list.getEntries())
                  if (!entry.hadRecentInput) window.shifts += entry.value; }).observe({type: "layout-shift"})""")
                tall = browser.evaluate("document.documentElement.scrollHeight")
                time.sleep(2.5)
                expect(browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name}: wider than the window")
                expect(abs(browser.evaluate("document.documentElement.scrollHeight") - tall) < 60, f"{name}: the page jumps")
                expect(browser.evaluate("shifts") < 0.1, f"{name}: layout shift {browser.evaluate('shifts')}")
                ratio, text = browser.evaluate(CONTRAST)
                expect(ratio >= 4.5, f"{name}: contrast {ratio:.2f} of “{text}”")
                browser.picture(os.path.join(pictures, f"monitor-{width}-{'dark' if dark else 'light'}.png"))
                if width != 800:
                    browser.picture(os.path.join(pictures, f"monitor-{width}-{'dark' if dark else 'light'}-whole.png"), whole=True)
        rows = browser.evaluate("[...document.querySelectorAll('#venues tbody tr')].map(row => row.cells[0].textContent)")
        expect(rows == VENUES, f"venues side by side: {rows}")
        # The lane that is shown can be chosen; the head goes on speaking of all.
        browser.evaluate("""document.getElementById('lane').value = 'bybit';
          document.getElementById('lane').dispatchEvent(new Event('change'))""")
        expect(browser.evaluate("document.querySelector('#instruments tbody th').textContent") == "BTCUSDT", "another lane is not shown")
        time.sleep(1.2)
        drawn = browser.evaluate("[...document.querySelectorAll('svg.plot')].map(plot => plot.querySelectorAll('path[stroke]').length)")
        expect(len(drawn) >= 10 and all(drawn), f"charts without a line: {drawn}")
        expect(not browser.evaluate(NAMES), f"without a name for screen readers: {browser.evaluate(NAMES)}")
        # The keyboard moves a chart's cursor.
        browser.evaluate("document.querySelector('#c-latency svg.plot').focus()")
        for kind in ["keyDown", "keyUp"]:
            browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
        expect(browser.evaluate("document.querySelectorAll('#c-latency path.cursor').length") == 1, "no cursor by the keyboard")
        browser.evaluate("document.activeElement.blur()")

        shown.stop()
        compare_page(shown, browser)
        shown.go_on()
        ask_for_token(shown, browser, room)
        foreign = [address for address in browser.addresses if not address.startswith(("http://127.0.0.1:", "data:"))]
        expect(not foreign, f"the page fetched from elsewhere: {foreign[:3]}")
        expect(not browser.errors, f"errors of the page: {browser.errors[:3]}")
    finally:
        browser.close()


def ask_for_token(shown, browser, room):
    """A monitor with a token: its page asks for it, and shows figures once it has it."""
    path, token = os.path.join(room, "token"), "correct-horse-battery-staple"
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        file.write(token + "\n")
    monitor, address = shown.start_monitor("--token-file", path)
    try:
        browser.open(address + "/")
        browser.wait_for("document.getElementById('ask')?.open")
        expect(not browser.evaluate("document.body.dataset.shown"), "figures without a token")
        browser.evaluate(f"document.getElementById('token').value = '{token}'; document.getElementById('enter').click()")
        browser.wait_for("document.body.dataset.shown")
        expect(not browser.evaluate("document.getElementById('ask').open"), "the question for the token stays")
    finally:
        monitor.kill()
        monitor.wait()
    print("page: asks for the token and then shows figures")


def compare_page(shown, browser):
    before = float(browser.evaluate("document.body.dataset.shown"))
    browser.wait_for(f"Number(document.body.dataset.shown) > {before} + 1.5")
    cells = browser.evaluate(
        "[...document.querySelectorAll('[data-metric]')].map(cell => ({...cell.dataset, text: cell.textContent}))")
    metrics = shown.metrics()
    wrong = []
    for cell in cells:
        metric, text = cell["metric"], cell["text"]
        if cell["value"] == "":
            if metric in metrics:
                wrong.append(f"{metric} is {metrics[metric]}, the page has nothing")
            continue
        value = float(cell["value"])
        actual = metrics.get(metric, math.nan) - (metrics.get(cell["less"], math.nan) if "less" in cell else 0)
        if not math.isclose(value, actual, rel_tol=1e-9, abs_tol=1e-8):
            wrong.append(f"{metric} is {actual}, the page has {value}")
        number = text.replace(",", "").removesuffix(" s")
        if number.endswith("B"):
            amount, unit = number.split()
            close = abs(float(amount) * 1024 ** ["B", "KiB", "MiB", "GiB"].index(unit) - value) <= value * 0.006
        else:
            close = abs(float(number) - value) <= 0.5000001 * 10.0 ** -len(number.partition(".")[2])
        if not close:
            wrong.append(f"{metric} is {value}, the page shows {text}")
    expect(not wrong, "; ".join(wrong[:5]))
    expect(len(cells) >= 30, f"only {len(cells)} figures of the page name their metric")
    print(f"page: {len(cells)} figures equal /metrics")


def compare_view(shown):
    time.sleep(1)
    view, metrics = shown.view(), shown.metrics()
    compared = 0
    for lane in view["engine"]["lanes"]:
        for name, value in lane["counters"].items():
            label = f'{{lane="{lane["name"]}"}}'
            shown = {"bytes_in": "receive_bytes", "bytes_out": "transmit_bytes"}.get(name, name)
            known = [metrics[key] for key in (f"apus_{shown}{label}", f"apus_{shown}_total{label}") if key in metrics]
            if name == "clock_offset_us":
                known = [metrics[f"apus_clock_offset_seconds{label}"] * 1e6]
            expect(len(known) == 1 and math.isclose(known[0], value, rel_tol=1e-9), f"{name}: {value}, /metrics has {known}")
            compared += 1
        for one in lane["instruments"]:
            label = f'{{lane="{lane["name"]}",instrument="{one["name"]}"}}'
            pairs = [
                (one["fills"], metrics[f"apus_instrument_fills_total{label}"]), (one["traded"], metrics[f"apus_traded_value_total{label}"]),
                (one["position"], metrics[f"apus_position_contracts{label}"]), (one["fees"], metrics[f"apus_fees{label}"]),
                (one["pnl"], metrics[f"apus_pnl{label}"] - metrics[f"apus_fees{label}"])]
            expect(all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-8) for a, b in pairs), f"{one['name']}: {pairs}")
            compared += len(pairs)
        for span in lane["spans"]:
            if span["count"]:
                label = f'{{lane="{lane["name"]}",span="{span["name"]}"}}'
                expect(metrics[f"apus_span_seconds_count{label}"] == span["count"], f"{span}")
                infinite = f'apus_span_seconds_bucket{{lane="{lane["name"]}",span="{span["name"]}",le="+Inf"}}'
                expect(metrics[infinite] == span["count"], f"{span}")
                compared += 2
    print(f"view: {compared} figures equal /metrics")


def compare_reader(shown):
    tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/telemetry")
    mine = json.loads(subprocess.run([sys.executable, tool, shown.telemetry], check=True, capture_output=True).stdout)
    top = json.loads(subprocess.run(
        [shown.apus, "top", "--telemetry", shown.telemetry, "--once", "--json"], check=True, capture_output=True).stdout)
    expect(all(mine[key] == top[key] for key in ("name", "mode", "process_id", "boot_epoch")), "header")
    compared = 0
    expect(len(mine["lanes"]) == len(top["lanes"]) > 0, "lanes")
    for left, right in zip(mine["lanes"], top["lanes"]):
        expect(left["name"] == right["name"] and left["counters"] == right["counters"], f"{left['counters']} {right['counters']}")
        compared += len(left["counters"])
        expect(len(left["instruments"]) == len(right["instruments"]) > 0, "instruments")
        for a, b in zip(left["instruments"], right["instruments"]):
            for name, value in a.items():
                other = b.get(name)
                if name in ("own_bid", "own_ask") and other:
                    other = {key: other[key] for key in value}
                same = value == other or (isinstance(value, float) and math.isclose(value, other, rel_tol=1e-12, abs_tol=1e-9))
                expect(same, f"{a['name']}.{name}: {value}, apus top has {other}")
                compared += 1
        counters, spans = left["counters"], {span["name"]: span for span in left["spans"]}
        expect(counters["bytes_in"] > 50 * counters["frames_in"] and counters["bytes_out"] > 50 * counters["frames_out"],
               f"bytes: {counters}")
        expect(counters["turns"] > 100 and counters["journal_lost"] == 0, f"turns and records: {counters}")
        # The stages are those of one turn in sixteen, and within the whole.
        stages = [spans[name] for name in ("receive", "decode", "decide", "risk", "encode")]
        expect(all(0 < stage["count"] < spans["tick_to_frame"]["count"] for stage in stages), f"stages: {stages}")
        expect(sum(stage["sum_ns"] for stage in stages) < spans["tick_to_frame"]["sum_ns"], f"stages: {spans}")
        for a, b in zip(left["spans"], right["spans"]):
            expect((a["name"], a["count"]) == (b["name"], b["count"]), f"{a} {b}")
            compared += 1
    print(f"tools/telemetry: {compared} figures equal apus top")


def main():
    if len(sys.argv) not in (3, 4) or "--help" in sys.argv:
        print(__doc__)
        return 0 if "--help" in sys.argv else 64
    apus, room = sys.argv[1:3]
    pictures = sys.argv[3] if len(sys.argv) == 4 else room
    os.makedirs(pictures, exist_ok=True)
    with Monitored(apus, room, "--venues", ",".join(VENUES)) as shown:
        shown.wait_for_fills(5)
        time.sleep(4)
        if shutil.which("chromium"):
            look_at_page(shown, room, pictures)
        else:
            print("page: not looked at, chromium is missing: tools/setup --browser installs it")
            time.sleep(3)
        shown.stop()
        compare_view(shown)
        compare_reader(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
