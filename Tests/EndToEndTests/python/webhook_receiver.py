#!/usr/bin/env python3
"""Receives alerts on a free port of 127.0.0.1 and prints each good one as a line: kind, name, lane.

usage: webhook_receiver.py KEY_FILE
The first line printed is the port. A request whose signature is wrong or old is answered with 401 and printed as "bad".
"""
import http.server
import json
import sys

# begin: as in the article Alerts
import hashlib, hmac, time

def is_from_apus(key: bytes, headers, body: bytes, now=time.time) -> bool:
    stamp = headers.get("X-Apus-Timestamp", "")
    if not stamp.isdigit() or abs(now() - int(stamp)) > 300:
        return False  # too old: perhaps somebody sends a recorded one again
    want = "sha256=" + hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(want, headers.get("X-Apus-Signature", ""))

# end


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        good = is_from_apus(key, self.headers, body)
        self.send_response(204 if good else 401)
        self.end_headers()
        change = json.loads(body) if good else None
        print(f"{change['kind']} {change['alert']['name']}" if change else "bad", flush=True)

    def log_message(self, *_):
        pass


if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
    sys.exit(__doc__)
with open(sys.argv[1], "rb") as file:
    key = file.read().rstrip(b"\r\n")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
