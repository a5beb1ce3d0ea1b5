#!/usr/bin/env python3
"""Does the real Prometheus understand /metrics, the rules and the dashboard of tools/monitoring?

usage: prometheus_check.py APUS ROOM

promtool checks and plays the rules; then Prometheus scrapes a demo's monitor for some seconds on loopback, with the files of
tools/monitoring, and is asked for what it has: every metric, the figures of the moment when the engine's process was stopped,
every expression of the Grafana dashboard, and the alert that a stopped lane raises.
"""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse

from monitored import FETCH, Monitored

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools/monitoring")


def expect(condition, text):
    if not condition:
        raise SystemExit(f"prometheus_check: {text}")


def promtool(*arguments, text=None):
    run = subprocess.run(["promtool", *arguments], cwd=FILES, input=text, capture_output=True, text=True)
    expect(run.returncode == 0, f"promtool {' '.join(arguments)}: {run.stdout}{run.stderr}")


class Prometheus:
    def __init__(self, room, target):
        with open(os.path.join(FILES, "prometheus.yml"), encoding="utf-8") as file:
            text = file.read()
        for old, new in (("127.0.0.1:9464", target), ("_interval: 5s", "_interval: 1s"), ("timeout: 2s", "timeout: 1s")):
            expect(old in text, f"prometheus.yml has no {old}")
            text = text.replace(old, new)
        for name in ("prometheus.yml", "apus.rules.yml"):
            shutil.copy(os.path.join(FILES, name), room)
        with open(os.path.join(room, "prometheus.yml"), "w", encoding="utf-8") as file:
            file.write(text)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        with open(os.path.join(room, "prometheus.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={room}/prometheus.yml", f"--storage.tsdb.path={room}/prometheus",
                 f"--web.listen-address={self.address}"], stdout=log, stderr=log)

    def get(self, path, **parameters):
        address = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with FETCH.open(address, timeout=10) as answer:
            return json.load(answer)["data"]

    def ask(self, expression):
        return self.get("query", query=expression)["result"]

    def wait_for(self, expression, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if result := self.ask(expression):
                    return result
            except OSError:
                pass
            expect(self.process.poll() is None, "prometheus has ended, see prometheus.log")
            expect(time.monotonic() < deadline, f"nothing came for {expression} in {seconds} s")
            time.sleep(0.25)

    def close(self):
        self.process.terminate()
        self.process.wait()


def check_dashboard(prometheus, instance):
    with open(os.path.join(FILES, "grafana-dashboard.json"), encoding="utf-8") as file:
        dashboard = json.load(file)
    asked = 0
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in (("$__rate_interval", "10s"), ("$instance", instance), ("$lane", ".*"), ("$instrument", ".*")):
                expression = expression.replace(name, value)
            expect(prometheus.ask(expression), f"the panel “{panel['title']}” has nothing for {expression}")
            asked += 1
    print(f"grafana-dashboard.json: each of {asked} expressions has an answer")


def check_values(prometheus, shown, instance):
    """While the engine's process is stopped, what was scraped is what is shown."""
    time.sleep(2.5)
    metrics, scraped = shown.metrics(), {}
    for sample in prometheus.ask(f'{{instance="{instance}",__name__=~"apus_.*"}}'):
        labels = sample["metric"]
        scraped[(labels.pop("__name__"), frozenset((k, v) for k, v in labels.items() if k not in ("instance", "job")))] = sample["value"][1]
    compared = 0
    for key, value in metrics.items():
        name, _, rest = key.partition("{")
        if name == "apus_alert_active":
            continue  # The monitor's own, of this moment: it notices that the engine stands still.
        labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', rest))
        if "le" in labels and labels["le"] != "+Inf":
            labels["le"] = repr(float(labels["le"])).replace(".0", "") if float(labels["le"]) >= 1 else labels["le"]
        found = scraped.get((name, frozenset(labels.items())))
        if found is None and "le" in labels:
            # Prometheus may write a bound in another way.
            found = next((v for (n, k), v in scraped.items() if n == name and dict(k).get("le") and
                          float(dict(k)["le"]) == float(labels["le"]) and dict(k) | {"le": labels["le"]} == labels), None)
        expect(found is not None, f"{key} was not scraped")
        if not re.search("age_seconds|_(host|data)_|apus_process", name):
            expect(math.isclose(float(found), value, rel_tol=1e-12), f"{key} is {value}, Prometheus has {found}")
            compared += 1
    expect(compared > 150, f"only {compared} samples were compared")
    print(f"{compared} samples queried back equal /metrics")


def main():
    if len(sys.argv) != 3 or "--help" in sys.argv:
        print(__doc__)
        return 0 if "--help" in sys.argv else 64
    if not (shutil.which("prometheus") and shutil.which("promtool")):
        print("nothing was checked with Prometheus: it is missing, tools/setup --monitoring installs it")
        return 0
    apus, room = sys.argv[1:]
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "apus.rules.yml")
    promtool("test", "rules", "apus.rules.test.yml")
    with Monitored(apus, room) as shown:
        instance = shown.address.removeprefix("http://")
        prometheus = Prometheus(room, instance)
        try:
            shown.wait_for_fills(3)
            promtool("check", "metrics", text=shown.get("/metrics"))
            prometheus.wait_for('up{job="apus"} == 1', 20)
            time.sleep(8)
            rules = prometheus.get("rules")["groups"][0]["rules"]
            expect(len(rules) == 22 and all(rule["health"] == "ok" for rule in rules), f"rules: {rules}")
            for expression in (
                'histogram_quantile(0.99, sum by (le) (rate(apus_span_seconds_bucket{span="tick_to_order"}[10s]))) > 0',
                "rate(apus_frames_in_total[10s]) > 0", "sum(apus_fills_total) >= 3", "apus_engine_alive == 1",
                'rate(apus_thread_cpu_seconds_total{thread="apus-lane-0"}[10s]) > 0', "apus_data_free_bytes > 0",
            ):
                expect(prometheus.ask(expression), f"nothing for {expression}")
            check_dashboard(prometheus, instance)
            shown.stop()
            check_values(prometheus, shown, instance)
            prometheus.wait_for('ALERTS{alertname="ApusLaneSilent",alertstate="firing"}', 15)
            print("ApusLaneSilent fires while the lane is stopped")
        finally:
            prometheus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
