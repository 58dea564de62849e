#!/usr/bin/python3
"""Phones, as the interface asks of them: each keeps every event until its receipt, sends it again
with back-off, connects again when it is cut off, and writes down the receipts.

The script is JSON Lines of {"phone", "topic", "payload"}. There is one MQTT client for each phone; it
sends its lines in their order. A line with "last": true is sent when all the others have receipts.
Ends with 0 when every line has its receipt. Works with paho-mqtt 1 and 2.
"""

import argparse
import collections
import hashlib
import json
import sys
import threading
import time

import paho.mqtt.client as mqtt

lock = threading.Condition()


def key_of(payload):
    """By what the receipt of a payload is known: its event_id or, if that can't be read, its hash."""
    try:
        return json.loads(payload)["event_id"].lower()
    except Exception:
        return hashlib.sha256(payload).hexdigest()


class Phone:
    def __init__(self, name, lines, arguments, written):
        self.arguments = arguments
        self.written = written
        self.pending = collections.OrderedDict(enumerate(lines))
        self.sent = set()
        self.ready = False
        self.pause = arguments.resend
        self.resend_at = time.monotonic() + self.pause
        version = mqtt.MQTTv5 if arguments.version == "5" else mqtt.MQTTv311
        options = {"client_id": name, "protocol": version}
        if arguments.version != "5":
            options["clean_session"] = True
        if hasattr(mqtt, "CallbackAPIVersion"):
            options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
        self.client = mqtt.Client(**options)
        self.client.reconnect_delay_set(0.1, 1)
        self.client.max_inflight_messages_set(arguments.inflight)
        self.client.on_connect = self.on_connect
        self.client.on_disconnect = self.on_disconnect
        self.client.on_subscribe = self.on_subscribe
        self.client.on_message = self.on_message
        self.topics = sorted({line["topic"].rsplit("/", 1)[0] + "/receipt" for line in lines})
        if arguments.version == "5":
            self.client.connect_async("127.0.0.1", arguments.port, 60, clean_start=True)
        else:
            self.client.connect_async("127.0.0.1", arguments.port, 60)
        self.client.loop_start()

    def on_connect(self, client, *_):
        client.subscribe([(topic, 1) for topic in self.topics])

    def on_disconnect(self, *_):
        with lock:
            self.ready = False

    def on_subscribe(self, *_):
        with lock:
            self.ready = True
            self.sent.clear()
            self.send()

    def send(self):
        """Sends what is to be sent now and has not been sent on this connection."""
        if not self.ready:
            return
        others = any(not line.get("last") for line in self.pending.values())
        for number, line in self.pending.items():
            if number not in self.sent and not (others and line.get("last")):
                self.sent.add(number)
                self.client.publish(line["topic"], line["payload"].encode(), qos=1)

    def send_again(self, now):
        if now >= self.resend_at:
            self.pause = min(self.pause * 2, 60)
            self.resend_at = now + self.pause
            self.sent.clear()
            self.send()

    def on_message(self, _client, _userdata, message):
        receipt = json.loads(message.payload)
        key = receipt["event_id"] or receipt["payload_sha256"]
        with lock:
            self.written(message.topic, receipt)
            for number, line in self.pending.items():
                if key_of(line["payload"].encode()) == key:
                    del self.pending[number]
                    break
            self.send()
            lock.notify_all()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--version", choices=["3.1.1", "5"], required=True)
    parser.add_argument("--script", required=True)
    parser.add_argument("--receipts", required=True)
    parser.add_argument("--resend", type=float, default=60, help="seconds before the first retry")
    parser.add_argument("--inflight", type=int, default=20)
    parser.add_argument("--give-up", type=float, default=100)
    arguments = parser.parse_args()

    by_phone = collections.OrderedDict()
    with open(arguments.script) as script:
        for line in map(json.loads, script):
            by_phone.setdefault(line["phone"], []).append(line)
    give_up_at = time.monotonic() + arguments.give_up
    with open(arguments.receipts, "w") as file:

        def written(topic, receipt):
            file.write(json.dumps({"topic": topic, "receipt": receipt}) + "\n")
            file.flush()
            print("receipt", flush=True)

        with lock:
            phones = [Phone(*phone, arguments, written) for phone in by_phone.items()]
            while any(phone.pending for phone in phones):
                now = time.monotonic()
                if now >= give_up_at:
                    left = sum(len(phone.pending) for phone in phones)
                    sys.exit(f"{left} messages still have no receipt")
                for phone in phones:
                    phone.send_again(now)
                due = min(phone.resend_at for phone in phones if phone.pending)
                lock.wait(max(0.0, min(due, give_up_at) - time.monotonic()))
        for phone in phones:
            phone.client.disconnect()
            phone.client.loop_stop()


main()
