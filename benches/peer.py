#!/usr/bin/python3
"""What one would write instead of nightrun: a subscriber that stores events in batches.

It keeps a session at a broker, stores each event once in SQLite or PostgreSQL, acknowledges it when
the transaction has committed, and answers with a receipt. It knows no rules.

    peer.py PORT sqlite:FILE|postgres://...
"""

import json
import select
import sqlite3
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

BATCH_MAX = 500
TABLE = """CREATE TABLE event (event_id TEXT NOT NULL UNIQUE, client_ref TEXT NOT NULL,
           topic TEXT NOT NULL, payload TEXT NOT NULL, received_at BIGINT NOT NULL)"""
INDEX = "CREATE INDEX event_client ON event (client_ref)"


class Client(mqtt.Client):
    """Acknowledges by hand. paho 2 has a setting for that; Debian's 1.6 has not."""

    def _send_puback(self, mid):
        return mqtt.MQTT_ERR_SUCCESS

    def acknowledge(self, mid):
        super()._send_puback(mid)


class Sqlite:
    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute(TABLE)
        self.db.execute(INDEX)

    def insert(self, rows):
        new = set()
        self.db.execute("BEGIN IMMEDIATE")
        for row in rows:
            done = self.db.execute(
                "INSERT INTO event VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
            if done.rowcount:
                new.add(row[0])
        self.db.execute("COMMIT")
        return new


class Postgres:
    def __init__(self, url):
        import psycopg2
        from psycopg2.extras import execute_values

        self.execute_values = execute_values
        self.db = psycopg2.connect(url)
        with self.db, self.db.cursor() as cursor:
            cursor.execute(TABLE)
            cursor.execute(INDEX)

    def insert(self, rows):
        with self.db, self.db.cursor() as cursor:
            new = self.execute_values(
                cursor,
                "INSERT INTO event VALUES %s ON CONFLICT DO NOTHING RETURNING event_id",
                rows, page_size=BATCH_MAX, fetch=True)
        return {event_id for (event_id,) in new}


def main(port, url):
    store = Postgres(url) if url.startswith("postgres") else Sqlite(url.removeprefix("sqlite:"))
    arrived = []
    client = Client("peer", protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(BATCH_MAX)
    client.on_connect = lambda *_: client.subscribe("nightrun/v1/+/carer/+/event", 1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_message = lambda _client, _data, message: arrived.append(message)
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 0xFFFFFFFF
    session.ReceiveMaximum = BATCH_MAX
    client.connect("127.0.0.1", port, clean_start=False, properties=session)
    while client.loop(0.1) == mqtt.MQTT_ERR_SUCCESS:
        # Reads on as long as something comes at once: larger batches are cheaper.
        more = arrived and select.select([client.socket()], [], [], 0)[0]
        if len(arrived) >= BATCH_MAX or arrived and not more:
            flush(client, store, arrived)


def flush(client, store, arrived):
    batch, arrived[:] = arrived[:BATCH_MAX], arrived[BATCH_MAX:]
    rows = []
    received_at = time.time_ns() // 1000
    for message in batch:
        event = json.loads(message.payload)
        rows.append((event["event_id"], event["client_ref"], message.topic,
                     message.payload.decode(), received_at))
    new = store.insert(rows)
    for message, row in zip(batch, rows):
        client.acknowledge(message.mid)
        status = "accepted" if row[0] in new else "duplicate"
        new.discard(row[0])
        receipt = {"event_id": row[0], "status": status, "received_at": row[4],
                   "visit_ref": None, "visit": "unplaced", "dropped": [], "code": None,
                   "detail": None}
        client.publish(message.topic.replace("/event", "/receipt"),
                       json.dumps(receipt, separators=(",", ":")), 1)


main(int(sys.argv[1]), sys.argv[2])
