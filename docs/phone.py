#!/usr/bin/env python3
"""A phone that loses no event: the reference client, for makers of carers' apps (see protocol.md).
Reads events from standard input, a JSON object a line: {"type": "check_in", "client_ref": "C-1"}. Keeps each
in FILE, sends it until it is answered, prints the answers. Ends when the input has ended and all is answered;
if killed, it goes on when started with the same FILE. Needs paho-mqtt, 1.6 or 2."""
import argparse, datetime, hashlib, json, pathlib, random, sqlite3, sys, threading, time, types, uuid
import paho.mqtt.client as mqtt
PAHO_2 = {"callback_api_version": mqtt.CallbackAPIVersion.VERSION2} if hasattr(mqtt, "CallbackAPIVersion") else {}
utc_now = lambda: datetime.datetime.now(datetime.timezone.utc).isoformat()

class Phone:
    def __init__(self, options):
        self.options, self.topic = options, f"nightrun/v1/{options.user}/"
        self.client, self.listening, self.connect_pause = mqtt.Client(**PAHO_2), False, 0
        self.waiting, self.last = {}, 0  # the events without an answer, and the last that was taken
        self.db = sqlite3.connect(options.file)
        self.db.execute("CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY AUTOINCREMENT, said, rejected)")

    def keep_input(self):  # in a thread of its own
        db = sqlite3.connect(self.options.file)
        for line in sys.stdin:
            made = {"event_id": str(uuid.uuid4()), "occurred_at": utc_now()}
            with db:  # it is on the disk before anything else is done with it
                db.execute("INSERT INTO event (said) VALUES (?)", [json.dumps({**made, **json.loads(line)})])

    def take_what_was_kept(self):
        new = self.db.execute("SELECT * FROM event WHERE seq > ? ORDER BY seq", [self.last]).fetchall()
        for self.last, said, rejected in new:
            if rejected:
                print(rejected, flush=True)  # after a start: nobody may have seen it
            else:
                self.waiting[self.last] = types.SimpleNamespace(
                    event=json.loads(said), due=0, pause=self.options.pause, sent=None, hash=None)
        return new

    def run(self):
        (reader := threading.Thread(target=self.keep_input, daemon=True)).start()
        while any([reader.is_alive(), self.take_what_was_kept(), self.waiting]):
            if trouble := self.client.loop(0.1):  # waits for the network, and calls what connect gives it
                self.connect(mqtt.error_string(trouble))
            elif self.listening:
                self.send_what_is_due()
        self.client.disconnect()

    def connect(self, why):  # with a new client each time: nothing is left over from the connection before
        print(f"connecting: {why}", file=sys.stderr)
        time.sleep(self.connect_pause * random.uniform(0.5, 1.5))
        self.connect_pause, self.listening = min(self.connect_pause * 2 + 1, 30), False
        name = self.options.name or self.options.user
        self.client = mqtt.Client(client_id=name.replace("/", "~"), clean_session=True, **PAHO_2)
        self.client.on_connect = lambda client, *_: client.subscribe(self.topic + "receipt", qos=1)
        self.client.on_subscribe, self.client.on_message = self.listen, self.answered
        if self.options.password_file:
            self.client.username_pw_set(name, pathlib.Path(self.options.password_file).read_text().strip())
        self.options.ca_file and self.client.tls_set(self.options.ca_file)
        host, _, port = self.options.broker.rpartition(":")
        try:
            self.client.connect(host.strip("[]"), int(port), keepalive=30)
        except OSError as error:
            print(error, file=sys.stderr)

    def listen(self, client, _userdata, _id, codes, *_):
        if codes[0] >= 128:
            return client.disconnect()  # it may not read its receipts, and nothing would be answered
        self.listening = True
        for one in self.waiting.values():
            one.due, one.sent = 0, None

    def send_what_is_due(self):
        for seq, one in self.waiting.items():
            if one.due <= time.monotonic():
                if one.sent and not one.sent.is_published():  # the broker has said nothing in all this time
                    return self.client.disconnect()
                payload = json.dumps({**one.event, "seq": seq, "sent_at": utc_now()}).encode()
                one.hash = hashlib.sha256(payload).hexdigest()
                one.sent = self.client.publish(self.topic + "event", payload, qos=1)
                one.due = time.monotonic() + one.pause * random.uniform(0.5, 1.5)
                one.pause = min(one.pause * 2, 600)

    def answered(self, _client, _userdata, message):
        receipt, text, self.connect_pause = json.loads(message.payload), message.payload.decode(), 0
        key = receipt["event_id"] or receipt["payload_sha256"]
        about = [seq for seq, one in self.waiting.items() if key in (one.event["event_id"].lower(), one.hash)]
        if about and receipt["status"] in ("accepted", "duplicate", "rejected"):
            with self.db:
                if receipt["status"] == "rejected":  # stop sending it, keep it, show it
                    self.db.execute("UPDATE event SET rejected = ? WHERE seq = ?", [text, about[0]])
                else:  # it is committed: forget it
                    self.db.execute("DELETE FROM event WHERE seq = ?", [about[0]])
            del self.waiting[about[0]]
            print(text, flush=True)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--broker", required=True, help="host:port")
parser.add_argument("--user", required=True, help="whose phone it is: contract/carer/carer")
for option in ("file", "--name", "--password-file", "--ca-file"):  # name: the user's there; ca-file: use TLS
    parser.add_argument(option)
parser.add_argument("--pause", type=float, default=10, help="seconds before the first retry; they grow")
Phone(parser.parse_args()).run()
