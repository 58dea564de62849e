#!/usr/bin/python3
"""A client of another make. It says on each line of its output, in JSON, what happens:
{"connected": code}, {"subscribed": [codes]}, {"topic", "payload"}, {"disconnected": code};
and publishes what each line of its input says: {"topic", "payload", "retain"}.

It connects once, and ends when it is not or no longer connected. Works with paho-mqtt 1 and 2.
"""

import argparse
import json
import sys
import threading

import paho.mqtt.client as mqtt


def say(**what):
    print(json.dumps(what), flush=True)


def code_of(reason):
    return getattr(reason, "value", reason)


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--version", choices=["3.1.1", "5"], default="3.1.1")
parser.add_argument("--ca")
parser.add_argument("--id", required=True)
parser.add_argument("--user")
parser.add_argument("--password")
parser.add_argument("--will", help="a topic")
parser.add_argument("filters", nargs="*")
arguments = parser.parse_args()

five = arguments.version == "5"
options = {"client_id": arguments.id, "protocol": mqtt.MQTTv5 if five else mqtt.MQTTv311}
if not five:
    options["clean_session"] = True
old = not hasattr(mqtt, "CallbackAPIVersion")
if not old:
    options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
client = mqtt.Client(**options)
if arguments.user:
    client.username_pw_set(arguments.user, arguments.password)
if arguments.ca:
    client.tls_set(arguments.ca)
if arguments.will:
    client.will_set(arguments.will, "spoof", qos=1, retain=True)


def on_connect(client, _userdata, _flags, code, *_):
    say(connected=code_of(code))
    if code_of(code) == 0 and arguments.filters:
        client.subscribe([(each, 1) for each in arguments.filters])


def on_subscribe(_client, _userdata, _mid, codes, *_):
    say(subscribed=[code_of(code) for code in codes])


def on_message(_client, _userdata, message):
    say(topic=message.topic, payload=message.payload.decode())


def on_disconnect(client, _userdata, *reasons):
    # paho-mqtt 1 has the reason first, 2 has flags before it.
    say(disconnected=code_of(reasons[0] if old else reasons[1]))
    client.disconnect()


def publish():
    for line in sys.stdin:
        client.publish(qos=1, **json.loads(line))


client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.on_disconnect = on_disconnect
threading.Thread(target=publish, daemon=True).start()
client.connect("localhost", arguments.port, 60)
# Until the connection ends: loop_forever would connect again.
while client.loop(1) == mqtt.MQTT_ERR_SUCCESS:
    pass
