#!/usr/bin/env python3
"""Does the dashboard of `apus monitor` show a rollout, both releases side by side?

usage: rollout_page.py ADDRESS ROOM PICTURES

ADDRESS is that of a monitor whose engine is in a rollout that is watched. Without chromium the page is left out.
"""

import os
import shutil
import sys

from browser import Browser
from monitor_check import CONTRAST, NAMES, expect


def main(address, room, pictures):
    if not shutil.which("chromium"):
        print("without chromium the page is left out: tools/setup --browser")
        return
    os.makedirs(pictures, exist_ok=True)
    browser = Browser(room)
    try:
        for width, height, dark in [(1280, 900, False), (390, 844, True)]:
            browser.look(width, height, dark, phone=width < 500)
            browser.open(address + "/")
            browser.wait_for("document.querySelectorAll('#releases tbody tr').length > 8")
            state = browser.evaluate("document.getElementById('rollout-state').textContent")
            expect("v3 against v1" in state and "step 1 of 2" in state, f"the state is: {state}")
            head = browser.evaluate("[...document.querySelectorAll('#releases thead th')].map(cell => cell.textContent)")
            expect(head == ["", "candidate", "incumbent"], f"columns: {head}")
            seconds = browser.evaluate("[...document.querySelector('#releases tbody tr').cells].map(cell => cell.textContent)")
            expect(seconds[0] == "seconds" and int(seconds[1]) > 0 and seconds[1] == seconds[2], f"seconds: {seconds}")
            expect(browser.evaluate("document.querySelectorAll('#turns li').length") > 2, "no turns of the rollout")
            expect(browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{width}: wider than the window")
            ratio, text = browser.evaluate(CONTRAST)
            expect(ratio >= 4.5, f"{width}: contrast {ratio:.2f} of “{text}”")
            expect(not browser.evaluate(NAMES), f"without a name for screen readers: {browser.evaluate(NAMES)}")
            browser.picture(os.path.join(pictures, f"rollout-{width}.png"))
        expect(not browser.errors, f"errors of the page: {browser.errors[:3]}")
    finally:
        browser.close()
    print("page: both releases side by side")


if __name__ == "__main__":
    main(*sys.argv[1:])
