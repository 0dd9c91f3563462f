"""What a broker does not take, and what a link lets nobody do: refused, told once, counted, and the link lives on."""

import asyncio
import json
import logging
import struct
from pathlib import Path

import pytest

from becomingone.broker.outbox import CULPRIT_AFTER
from becomingone.broker.reasons import Reason
from becomingone.errors import TopicError

from .bench import LOCALHOST, Mosquitto, read_packet


def logged(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def publish(bench, link, topic, payload=b"!", **options):
    """Publish at QoS 1 and wait for the fate of the message."""
    told = []
    assert link.publish(topic, payload, qos=1, settled=told.append, **options)
    assert bench.until(lambda: told, timeout_s=20)
    return told


# -- forbidden -----------------------------------------------------------------------------------------------------


@pytest.mark.mosquitto
def test_a_forbidden_topic_is_told_by_a_broker_of_mqtt_5(bench, tmp_path, caplog):
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite mine/#\n")
    with Mosquitto(tmp_path, f"acl_file {rules}") as broker:
        link, heard = bench.listener("x", f"mqtt://{LOCALHOST}:{broker.port}", "#")
        for _ in range(3):
            assert publish(bench, link, "theirs/a") == [False]
        assert publish(bench, link, "mine/a") == [True]
        assert bench.until(lambda: heard)
        assert [message.topic for message in heard] == ["mine/a"]
        assert (link.metrics.given_up, link.metrics.acknowledged) == (3, 1)
        assert link.metrics.failures == {Reason.MESSAGE: 3}
        assert logged(caplog) == [
            f"broker: {LOCALHOST}:{broker.port}: the broker refused a message to theirs/a: Not authorized"
        ]
        assert link.reasons == []


@pytest.mark.mosquitto
def test_a_broker_of_mqtt_3_1_1_acknowledges_what_it_throws_away_and_nobody_can_know(bench, tmp_path):
    """MQTT 3.1.1, 3.3.5: a PUBACK cannot say no. Only the hub's own acknowledgement shows the loss."""
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite mine/#\n")
    with Mosquitto(tmp_path, f"acl_file {rules}") as broker:
        link, heard = bench.listener("x", f"mqtt://{LOCALHOST}:{broker.port}", "#", protocol="3.1.1")
        assert publish(bench, link, "theirs/a") == [True]
        assert publish(bench, link, "mine/a") == [True]
        assert bench.until(lambda: heard)
        assert [message.topic for message in heard] == ["mine/a"]


def dynamic_security(folder: Path) -> list[str]:
    """Mosquitto's plugin that can refuse a subscription; its rules files cannot (2.0)."""
    found = [
        path
        for pattern in ("/usr/lib/*/mosquitto_dynamic_security.so", "/usr/lib/mosquitto_dynamic_security.so")
        for path in Path("/").glob(pattern.lstrip("/"))
    ]
    assert found, "mosquitto_dynamic_security.so comes with Debian's mosquitto"
    everything = dict.fromkeys(("publishClientSend", "publishClientReceive", "unsubscribe"), True)
    rules = folder / "dynamic-security.json"
    rules.write_text(
        json.dumps(
            {
                "defaultACLAccess": {**everything, "subscribe": False},
                "groups": [{"groupname": "all", "roles": [{"rolename": "some"}]}],
                "anonymousGroup": "all",
                "roles": [
                    {"rolename": "some", "acls": [{"acltype": "subscribePattern", "topic": "mine/#", "allow": True}]}
                ],
            }
        )
    )
    return [f"plugin {found[0]}", f"plugin_opt_config_file {rules}"]


@pytest.mark.mosquitto
@pytest.mark.parametrize(("protocol", "text"), [("5", "Not authorized"), ("3.1.1", "Unspecified error")])
def test_a_forbidden_subscription_is_named_and_no_link_stands_without_it(bench, tmp_path, caplog, protocol, text):
    with Mosquitto(tmp_path, *dynamic_security(tmp_path)) as broker:
        url = f"mqtt://{LOCALHOST}:{broker.port}"
        link = bench.link("x", url, protocol=protocol)
        link.subscribe("mine/a", lambda _message: None)
        link.subscribe("theirs/+/b", lambda _message: None, qos=1)
        link.start()
        assert bench.until(lambda: len(link.reasons) >= 3)
        line = f"{LOCALHOST}:{broker.port}: the broker refused a subscription, theirs/+/b: {text}"
        assert set(link.reasons) == {line}
        assert link.metrics.failures == {Reason.SUBSCRIPTION: len(link.reasons)}
        assert link.metrics.connects == 0
        assert logged(caplog) == [f"broker: {line}; trying again"]
        modest = bench.link("modest", url, protocol=protocol)
        modest.subscribe("theirs/figures", lambda _message: None, optional=True)
        bench.up(modest)
        assert modest.metrics.failures == {Reason.SUBSCRIPTION: 1}
        late = bench.up(bench.link("late", url, protocol=protocol))
        late.subscribe("theirs", lambda _message: None)
        assert bench.until(lambda: late.reasons)
        assert late.metrics.failures[Reason.SUBSCRIPTION] >= 1


@pytest.mark.mosquitto
def test_an_optional_subscription_that_is_refused_is_told_and_done_without(bench, tmp_path, caplog):
    with Mosquitto(tmp_path, *dynamic_security(tmp_path)) as broker:
        link = bench.link("x", f"mqtt://{LOCALHOST}:{broker.port}")
        heard = []
        link.subscribe("theirs/#", heard.append, optional=True)
        link.subscribe("mine/#", heard.append, qos=1)
        bench.up(link)
        assert publish(bench, link, "mine/a") == [True]
        assert bench.until(lambda: heard)
        line = f"{LOCALHOST}:{broker.port}: the broker refused a subscription, theirs/#: Not authorized"
        assert logged(caplog) == [f"broker: {line}"]
        assert link.metrics.failures == {Reason.SUBSCRIPTION: 1}
        assert link.reasons == []


# -- topics --------------------------------------------------------------------------------------------------------


@pytest.mark.mosquitto
def test_an_over_long_topic_is_refused_before_it_is_sent(bench, tmp_path, caplog):
    with Mosquitto(tmp_path) as broker:
        link = bench.up(bench.link("x", f"mqtt://{LOCALHOST}:{broker.port}"))
        for qos in (0, 1):
            assert not link.publish("ä" * 32_768, b"!", qos=qos)  # 65,536 bytes
        assert link.metrics.unsent == 2
        assert link.metrics.failures == {Reason.TOPIC: 2}
        assert logged(caplog) == [f"broker: a topic of 65536 bytes, more than 65535: {'ä' * 60}…"]
        assert publish(bench, link, "a" * 65_535) == [True]
        assert link.connected


def test_a_topic_that_is_none_is_a_mistake(bench):
    link = bench.link("x", "mqtt://localhost")
    for topic in ("", "a/+", "#", "a\0b", "\ud800"):
        with pytest.raises(TopicError, match="UTF-8 without a wildcard and a NUL"):
            link.publish(topic, b"!")


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_message_that_ends_every_connection_is_given_up_and_the_others_arrive(bench, tmp_path, caplog, protocol):
    """Mosquitto takes at most 200 levels, and ends the connection of whoever sends more."""
    with Mosquitto(tmp_path) as broker:
        url = f"mqtt://{LOCALHOST}:{broker.port}"
        _, heard = bench.listener("ear", url, "t")
        link = bench.up(bench.link("x", url, protocol=protocol))
        deep = "/".join("a" * 250)
        told = []
        for topic, payload in (("t", b"1"), (deep, b"2"), ("t", b"3")):
            assert link.publish(topic, payload, qos=1, settled=lambda known, p=payload: told.append((p, known)))
        assert bench.until(lambda: len(told) == 3, timeout_s=30), (told, link.reasons)
        assert dict(told) == {b"1": True, b"2": False, b"3": True}
        assert bench.until(lambda: {message.payload for message in heard} == {b"1", b"3"})
        assert CULPRIT_AFTER <= len(link.reasons) <= CULPRIT_AFTER + 2
        line = f"broker: {LOCALHOST}:{broker.port}: the broker ends every connection on which it is sent a message to"
        assert [text for text in logged(caplog) if text.startswith(line)] == [f"{line} {deep[:200]}: given up"]
        assert bench.until(lambda: link.connected)


# -- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.mosquitto
def test_an_oversize_message_is_refused_by_the_link_where_the_broker_has_said_its_limit(bench, tmp_path, caplog):
    with Mosquitto(tmp_path, "max_packet_size 10000") as broker:
        link = bench.up(bench.link("x", f"mqtt://{LOCALHOST}:{broker.port}"))
        most = 10_000 - 1 - 2 - 2 - 1 - 2 - 1  # fixed header, length, topic, packet identifier, properties
        assert publish(bench, link, "t", bytes(most)) == [True]
        for qos in (0, 1):
            assert not link.publish("t", bytes(most + 1 + 2 * (qos == 0)), qos=qos)
        assert (link.metrics.unsent, link.metrics.failures) == (2, {Reason.TOO_LARGE: 2})
        text = "a message of 10001 bytes to t is more than the 10000 that the broker takes"
        assert logged(caplog) == [f"broker: {LOCALHOST}:{broker.port}: {text}"]
        assert link.publish("t", bytes(most + 2), qos=0)
        assert publish(bench, link, "t") == [True]
        assert link.reasons == []


@pytest.mark.mosquitto
def test_an_oversize_message_ends_a_connection_of_mqtt_3_1_1_and_is_suspected(bench, tmp_path):
    with Mosquitto(tmp_path, "max_packet_size 10000") as broker:
        url = f"mqtt://{LOCALHOST}:{broker.port}"
        link = bench.up(bench.link("x", url, protocol="3.1.1"))
        assert link.publish("t", bytes(100_000))
        assert bench.until(lambda: link.reasons)
        text = " just after a message of 100000 bytes to t; does the broker take such?"
        assert link.reasons[0].endswith(text)
        assert link.metrics.failures == {Reason.BROKEN: 1}
        assert bench.until(lambda: link.connected)
        assert publish(bench, link, "t") == [True]


def test_no_more_is_under_way_than_the_broker_takes_also_after_a_reconnection(bench):
    """paho-mqtt 2.2 by itself sends its whole queue again at once, and Mosquitto throws it out for that."""
    under_way: list[int] = []
    most: list[int] = []

    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x03")  # CONNACK with a receive maximum of 3
        under_way.clear()
        answered = 0
        while answered < 10 * server.served - 5:
            first, body = await read_packet(reader)
            assert first & 0xF6 == 0x32, "a PUBLISH of QoS 1"
            length = struct.unpack("!H", body[:2])[0]
            under_way.append(struct.unpack("!H", body[2 + length : 4 + length])[0])
            most.append(len(under_way))
            if len(under_way) == 3:  # as many as there may be: answer the oldest
                writer.write(b"\x40\x02" + struct.pack("!H", under_way.pop(0)))
                answered += 1

    server = bench.serve(serve)
    link = bench.up(bench.link("x", server.url))
    for number in range(100):
        assert link.publish("t", b"%d" % number, qos=1)
    assert (link.metrics.in_flight, link.metrics.queued) == (3, 97)
    assert bench.until(lambda: server.served >= 3 and len(most) > 30)
    assert max(most) == 3
    assert link.metrics.resent >= 4


@pytest.mark.mosquitto
def test_the_queue_is_bounded_and_says_when_it_is_full(bench, tmp_path):
    with Mosquitto(tmp_path) as broker:
        link = bench.up(bench.link("x", f"mqtt://{LOCALHOST}:{broker.port}"))
        told = []
        taken = [link.publish("t", b"%d" % number, qos=1, settled=told.append) for number in range(1_500)]
        assert taken == [True] * 1_000 + [False] * 500
        assert (link.metrics.sent, link.metrics.unsent) == (1_000, 500)
        assert bench.until(lambda: len(told) == 1_000)
        assert told == [True] * 1_000
        assert (link.metrics.in_flight, link.metrics.queued) == (0, 0)


def test_messages_of_qos_0_are_refused_when_the_stream_is_stuck(bench):
    async def serve(reader, writer):
        await read_packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00")
        await writer.drain()
        reader._transport.pause_reading()
        await stuck.wait()

    stuck = asyncio.Event()
    server = bench.serve(serve)
    link = bench.up(bench.link("x", server.url))
    taken = 0
    while link.publish("t", bytes(100_000)):
        taken += 1
        assert taken < 1_000
        bench.until(lambda: True)
    assert taken >= 40
    assert link.metrics.unsent == 1
