"""A mail server that takes e-mails with STARTTLS from a user it knows, and refuses some mailboxes.

Says on standard output what it took, a JSON object on each line.
"""

import argparse
import email
import json
import ssl
import threading
from email import policy

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        said = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "head": [[name, str(value)] for name, value in message.items()],
            "text": message.get_body(("plain",)).get_content(),
            "html": message.get_body(("html",)).get_content(),
        }
        print(json.dumps(said), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (b"nightrun", b"hunter2")
    return AuthResult(success=known)


arguments = argparse.ArgumentParser()
arguments.add_argument("--port", type=int)
arguments.add_argument("--cert")
arguments.add_argument("--key")
arguments = arguments.parse_args()
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(arguments.cert, arguments.key)
Controller(
    Handler(),
    hostname="127.0.0.1",
    port=arguments.port,
    tls_context=tls,
    require_starttls=True,
    auth_required=True,
    authenticator=authenticate,
).start()
print(json.dumps("ready"), flush=True)
threading.Event().wait()
