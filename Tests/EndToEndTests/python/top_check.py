#!/usr/bin/env python3
"""Does `apus top` work in a real terminal?

usage: top_check.py APUS ROOM

Starts a demo of three venues in the directory ROOM and `apus top` beside it in tmux: at several sizes, resized, without
colours; looks at each picture, presses every key, halts and resumes. Without tmux nothing is looked at.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

KEYS = "p pause  r resume  h halt  o order's journey  s sort"


def expect(condition, text):
    if not condition:
        raise SystemExit(f"top_check: {text}")


class Terminal:
    """A tmux of its own, with one window in which a command runs."""

    count = 0

    def __init__(self, room, columns, rows, command):
        Terminal.count += 1
        self.socket = os.path.join(room, f"tmux-{Terminal.count}")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), command)

    def tmux(self, *arguments, check=True):
        return subprocess.run(["tmux", "-S", self.socket, *arguments], check=check, capture_output=True, text=True).stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server", check=False)

    def lines(self, *options):
        return self.tmux("capture-pane", "-p", *options).split("\n")[:-1]

    def press(self, *keys):
        for key in keys:
            self.tmux("send-keys", key)

    def wait(self, condition, what, seconds=15):
        deadline = time.monotonic() + seconds
        while True:
            lines = self.lines()
            if condition(lines):
                return lines
            expect(time.monotonic() < deadline, f"{what} did not come in {seconds} s:\n" + "\n".join(lines))
            time.sleep(0.1)

    def wait_for(self, text, seconds=15):
        return self.wait(lambda lines: any(text in line for line in lines), f"“{text}”", seconds)


def look(lines, columns, rows, venues):
    what = f"{columns} x {rows}"
    shown = "\n".join(lines)
    expect(len(lines) == rows and all(len(line) <= columns for line in lines), f"{what}: not of its size:\n{shown}")
    expect(lines[0].startswith(" apus demo") and "PnL" in lines[0], f"{what}: no head:\n{shown}")
    expect(lines[-1].startswith(KEYS[: columns - 5]), f"{what}: no keys:\n{shown}")
    for venue in venues:
        expect(any(line.startswith(f"{venue} ") for line in lines), f"{what}: {venue} is missing:\n{shown}")
    titles = [line for line in lines if line.startswith("instrument") or re.match(r"\d+–\d+ of", line)]
    expect(len(titles) == 1 and titles[0].split()[-8:][0] in ("bid", "instrument") or columns != 80, f"{what}: no table:\n{shown}")
    expect(columns < 80 or "PnL" in titles[0], f"{what}: the table is cut:\n{shown}")
    # A name, and figures below their titles.
    row = lines[lines.index(titles[0]) + 1]
    expect(re.match(r"BTC\S*\s+[\d.,–]+", row), f"{what}: no instrument:\n{shown}")
    print(f"top: {what} shows {len(venues)} venues")


def sizes(apus, telemetry, room, venues):
    for columns, rows in [(80, 24), (60, 16), (132, 43), (200, 60)]:
        with Terminal(room, columns, rows, f"'{apus}' top --telemetry '{telemetry}'") as terminal:
            terminal.wait(lambda lines: lines and lines[0].startswith(" apus demo"), "the head")
            look(terminal.lines(), columns, rows, venues)
            if (columns, rows) == (80, 24):
                resize(terminal, venues)


def resize(terminal, venues):
    for columns, rows in [(100, 30), (70, 20), (80, 24)]:
        terminal.tmux("resize-window", "-x", str(columns), "-y", str(rows))
        # The state stands at the right end of the first line.
        terminal.wait(
            lambda lines: lines[0].startswith(" apus demo") and len(lines[0]) in (columns - 1, columns)
            and len(lines) == rows and lines[-1].startswith("p pause"),
            f"the picture of {columns} x {rows}", 5)
        look(terminal.lines(), columns, rows, venues)


def steadiness(apus, telemetry, room):
    """What is written between pictures: only lines that differ, never a cleared screen."""
    raw = os.path.join(room, "raw")
    with Terminal(room, 80, 24, f"'{apus}' top --telemetry '{telemetry}' --interval 200") as terminal:
        terminal.wait_for("q quit")
        time.sleep(0.5)
        terminal.tmux("pipe-pane", "-o", f"cat > '{raw}'")
        time.sleep(3)
        terminal.tmux("pipe-pane")
        time.sleep(0.2)
        with open(raw, "rb") as file:
            written = file.read()
        expect(written.count(b"\x1b[K") > 10, "nothing was drawn")
        expect(b"\x1b[2J" not in written, "the screen was cleared: it flickers")
        # The last line says the same all the time.
        expect(b"q quit" not in written, "what does not change is drawn again")
    print("top: only lines that change are drawn, and nothing is cleared")


def colours(apus, telemetry, room):
    for setting, has_colours in [("-u NO_COLOR ", True), ("NO_COLOR=1 ", False), ("TERM=dumb ", False)]:
        with Terminal(room, 80, 24, f"env {setting}'{apus}' top --telemetry '{telemetry}'") as terminal:
            terminal.wait_for("PnL")
            found = any(re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", line) for line in terminal.lines("-e"))
            expect(found == has_colours, f"with '{setting}' there are {'' if found else 'no '}colours")
    print("top: colours, and none where they are not wanted")


def keys(apus, directory, room):
    telemetry = os.path.join(directory, "data", "telemetry")
    with Terminal(room, 80, 24, f"'{apus}' top --telemetry '{telemetry}'; echo it ended with $?; exec cat") as terminal:
        terminal.wait_for("q quit")
        terminal.press("s")
        terminal.wait_for("sorted by name", 3)
        terminal.press("h", "Escape")
        terminal.wait_for("nothing was asked for", 3)
        terminal.press("p", "yes", "Enter")
        terminal.wait_for("nothing was asked for", 3)
        expect(not any("orders cancelled" in line for line in terminal.lines()), "a pause without the typed word")
        terminal.press("h", "cancel")
        terminal.wait_for("flatten or disconnect: cancel", 3)
        terminal.press("Enter")
        terminal.wait(lambda lines: sum("all orders cancelled" in line for line in lines) >= 3, "the halt of all three", 10)
        terminal.wait(lambda lines: sum("verified at the venue" in line for line in lines) >= 3, "the venues' word", 15)
        lines = terminal.wait_for("ApusHalted", 5)
        expect("ApusImpossible" not in lines[1], f"an alert of something else: {lines[1]}")
        terminal.press("r", "resume", "Enter")
        terminal.wait(lambda lines: not any("orders cancelled" in line for line in lines)
                      and sum(" quoting for" in line for line in lines) >= 3, "quoting again", 20)
        print("top: a halt by a typed word, verified and resumed")
        segments = sorted(glob.glob(os.path.join(directory, "data", "journal-thalex", "*.apus")))
        with open(segments[0], "rb") as file:
            order = re.search(rb'"client_order_id":(\d+)', file.read()).group(1).decode()
        terminal.press("o", order, "Enter")
        lines = terminal.wait_for("q back", 60)
        expect(re.match(r"journal-\w+, run \d+", lines[0]) and any(f"#{order}" in line for line in lines),
               "no journey of the order:\n" + "\n".join(lines))
        terminal.press("q")
        terminal.wait_for("q quit", 5)
        print("top: the journey of an order")
        terminal.press("q")
        terminal.wait_for("it ended with 0", 5)
    print("top: q ends, and the terminal is as it was")


def main():
    if len(sys.argv) != 3 or "--help" in sys.argv:
        print(__doc__)
        return 0 if "--help" in sys.argv else 64
    apus, room = sys.argv[1:]
    if not shutil.which("tmux"):
        print("top: not looked at, tmux is missing: tools/setup --monitoring installs it")
        return 0
    directory, venues = os.path.join(room, "demo"), ["thalex", "bybit", "deribit"]
    telemetry = os.path.join(directory, "data", "telemetry")
    with open(os.path.join(room, "demo.log"), "wb") as log:
        demo = subprocess.Popen(
            [apus, "demo", "--venues", ",".join(venues), "--seconds", "300", "--directory", directory], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not os.path.exists(telemetry):
            expect(demo.poll() is None and time.monotonic() < deadline, "the demo does not come up")
            time.sleep(0.1)
        with Terminal(room, 90, 30, f"'{apus}' top --telemetry '{telemetry}'") as terminal:
            terminal.wait(lambda lines: sum(" quoting for" in line for line in lines) == 3, "three venues that quote", 60)
        sizes(apus, telemetry, room, venues)
        steadiness(apus, telemetry, room)
        colours(apus, telemetry, room)
        keys(apus, directory, room)
    finally:
        demo.send_signal(signal.SIGINT)
        try:
            demo.wait(60)
        except subprocess.TimeoutExpired:
            demo.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
