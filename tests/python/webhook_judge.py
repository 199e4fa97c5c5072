"""A judge of texts as an operator may run one. What it answers stands in the text: `judge:KIND`.

It prints its port. `GET /seen?TEXT` tells which questions had that text.
"""

import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = sys.argv[1].encode()
SEEN = []
ANSWERS = {
    "good": (200, b'{"score": 0.1}'),
    "bad": (200, b'{"score": 0.9, "category": "cruelty"}'),
    "flagged": (200, b'{"flagged": true}'),
    "fails": (500, b'{"score": 0.1}'),
    "nonsense": (200, b"<html>score: 0.1</html>"),
    "empty": (200, b""),
    "slow": (200, b'{"score": 0.1}'),
}


class Judge(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        wanted = self.path.split("?")[1]
        self.answer(200, json.dumps([it for it in SEEN if wanted in it["text"]]).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(body)
        at, _, code = self.headers["x-weir-signature"].partition(",v1=")
        signed = at.removeprefix("t=").encode() + b"." + body
        wanted = hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        SEEN.append(asked | {"signed": hmac.compare_digest(code, wanted), "path": self.path})
        kind = next((kind for kind in ANSWERS if f"judge:{kind}" in asked["text"]), "good")
        if kind == "slow":
            time.sleep(5)
        self.answer(*ANSWERS[kind])


server = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
print(server.server_port, flush=True)
server.serve_forever()
