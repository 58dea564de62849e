"""What stands in for GOV.UK Notify: checks the token of each request as its documentation says.

Says on standard output what it was asked, a JSON object on each line.
"""

import argparse
import base64
import hashlib
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int)
arguments.add_argument("--service")
arguments.add_argument("--secret")
arguments = arguments.parse_args()


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def is_authentic(token):
    head, claims, signature = token.split(".")
    signed = hmac.new(arguments.secret.encode(), f"{head}.{claims}".encode(), hashlib.sha256)
    claims = json.loads(decoded(claims))
    return (
        json.loads(decoded(head)) == {"typ": "JWT", "alg": "HS256"}
        and hmac.compare_digest(signed.digest(), decoded(signature))
        and claims["iss"] == arguments.service
        and abs(claims["iat"] - time.time()) <= 30
    )


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        scheme, _, token = self.headers["Authorization"].partition(" ")
        good = scheme == "Bearer" and is_authentic(token)
        if good and self.path in ("/v2/notifications/sms", "/v2/notifications/email"):
            status, answer = 201, {"id": "1"}
        else:
            status, answer = 403, {"status_code": 403, "errors": [{"error": "AuthError"}]}
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())
        print(json.dumps({"path": self.path, "status": status, "body": body}), flush=True)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", arguments.port), Handler)
print(json.dumps("ready"), flush=True)
server.serve_forever()
