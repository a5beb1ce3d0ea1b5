"""A demo with its monitor beside it, for tests: started, stopped in the middle, and ended. Standard library alone."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request

# Nothing here goes through a proxy.
FETCH = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Monitored:
    def __init__(self, apus, room, *options):
        self.apus, self.directory, self.stopped = apus, os.path.join(room, "demo"), None
        self.demo = self.monitor = None
        self.telemetry = os.path.join(self.directory, "data", "telemetry")
        with open(os.path.join(room, "demo.log"), "wb") as log:
            self.demo = subprocess.Popen(
                [apus, "demo", "--seconds", "300", "--directory", self.directory, *options], stdout=log, stderr=log)
        self.wait_for(lambda: os.path.exists(self.telemetry), 60, "the demo's telemetry file")
        self.monitor, self.address = self.start_monitor()

    def start_monitor(self, *options):
        """A monitor on a free port: its process, and its address."""
        monitor = subprocess.Popen(
            [self.apus, "monitor", "--telemetry", self.telemetry, "--listen", "127.0.0.1:0", *options],
            stdout=subprocess.PIPE, text=True)
        return monitor, re.search(r"http://[0-9.:]+", monitor.stdout.readline()).group(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go_on()
        if self.monitor:
            self.monitor.kill()
            self.monitor.wait()
        if self.demo:
            self.demo.send_signal(signal.SIGINT)
            try:
                self.demo.wait(30)
            except subprocess.TimeoutExpired:
                self.demo.kill()
                self.demo.wait()

    def wait_for(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not come in {seconds} s")
            if self.demo.poll() is not None:
                raise RuntimeError(f"the demo has ended with {self.demo.returncode} before {what} came")
            time.sleep(0.1)

    def get(self, path):
        with FETCH.open(self.address + path, timeout=10) as answer:
            return answer.read().decode()

    def view(self):
        return json.loads(self.get("/api/view"))

    def metrics(self):
        """Each sample of /metrics by its name and labels, as they are written there."""
        samples = {}
        for line in self.get("/metrics").splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples

    def wait_for_fills(self, count):
        def filled():
            try:
                return sum(value for name, value in self.metrics().items() if name.startswith("apus_fills_total")) >= count
            except OSError:
                return False
        self.wait_for(filled, 90, f"{count} fills")

    def stop(self):
        """Stops the engine's process where it is: what it shows cannot change until go_on."""
        self.stopped = self.view()["engine"]["process_id"]
        os.kill(self.stopped, signal.SIGSTOP)

    def go_on(self):
        if self.stopped:
            try:
                os.kill(self.stopped, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.stopped = None
