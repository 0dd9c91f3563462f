"""Messages arrive, whole, once and in order."""

from .behaviour import DiffersError, behaviour
from .raw import Kind

SIZES = (0, 1, 127, 128, 16_383, 16_384, 1 << 20)
"""Bytes: the ends of a packet's length field lie among them (2.2.3), and the largest message of ours."""


def _in_order(stage, qos, count=100):
    topic = stage.topic("a")
    _, heard = stage.listener(topic, qos=qos)
    speaker = stage.up("speaker")
    for number in range(count):
        assert speaker.publish(topic, b"%d" % number, qos=qos)
    came = stage.up_to_marker(speaker, topic, heard, qos=qos)
    numbers = [int(message.payload) for message in came]
    if len(set(numbers)) < count:
        raise DiffersError(f"messages of QoS {qos} are lost")
    if numbers != list(range(count)):
        raise DiffersError(f"messages of QoS {qos} are doubled or out of order")
    if any(message.retained for message in came):
        raise DiffersError("a message passes for a retained one")


@behaviour("4.6", transport=True)
def messages_of_qos_0_arrive_once_and_in_order(stage):
    _in_order(stage, 0)


@behaviour("4.6", transport=True)
def messages_of_qos_1_arrive_once_and_in_order(stage):
    _in_order(stage, 1)


@behaviour("4.6")
def every_message_of_qos_1_is_acknowledged_once_and_in_order(stage):
    speaker = stage.up("speaker")
    told = []
    for number in range(100):
        speaker.publish(
            stage.topic("a"), b"%d" % number, qos=1, settled=lambda known, number=number: told.append((number, known))
        )
    stage.expect(lambda: len(told) == 100, "acknowledgements are missing")
    if told != [(number, True) for number in range(100)]:
        raise DiffersError("acknowledgements come in another order")


@behaviour("4.3.2")
def a_message_that_nobody_subscribed_to_is_acknowledged(stage):
    speaker = stage.up("speaker")
    told = []
    speaker.publish(stage.topic("nobody"), b"!", qos=1, settled=told.append)
    stage.expect(lambda: told == [True], "the message is not acknowledged")


@behaviour("3.3.5")
def a_client_is_given_its_own_messages(stage):
    link, heard = stage.listener(stage.topic("own"), qos=1)
    link.publish(stage.topic("own"), b"mine", qos=1)
    stage.expect(lambda: [message.payload for message in heard] == [b"mine"], "a client is not given its own messages")


@behaviour("3.3.5", minor=True)
def a_message_comes_once_though_subscriptions_of_a_client_overlap(stage):
    link = stage.link("listener")
    narrow, wide = [], []
    link.subscribe(stage.topic("a", "b"), narrow.append, qos=1)
    link.subscribe(stage.topic("a", "#"), wide.append, qos=1)
    stage.start(link)
    came = stage.up_to_marker(link, stage.topic("a", "b"), narrow, before=b"once")
    assert came, "the message is not there"
    if len(came) > 1 or [message.payload for message in wide].count(b"once") > 1:
        raise DiffersError("it comes once for each subscription")


@behaviour("3.8.4")
def a_client_can_subscribe_on_a_standing_connection(stage):
    link = stage.up("listener")
    heard = []
    link.subscribe(stage.topic("later", "+"), heard.append, qos=1)
    link.publish(stage.topic("later", "x"), b"!", qos=1)
    stage.expect(lambda: [message.payload for message in heard] == [b"!"], "the subscription is not in force")


@behaviour("3.3.3", transport=True)
def payloads_of_any_bytes_and_any_size_to_1_mib_arrive_unchanged(stage):
    topic = stage.topic("bytes")
    _, heard = stage.listener(topic, qos=1)
    speaker = stage.up("speaker")
    pattern = bytes(range(256)) * (1 << 12)
    payloads = [pattern[:size] for size in SIZES]
    for payload in payloads:
        speaker.publish(topic, payload, qos=1)
    stage.expect(lambda: len(heard) == len(payloads), "some of the sizes do not arrive")
    if [message.payload for message in heard] != payloads:
        raise DiffersError("payloads are changed")


@behaviour("4.3.2", transport=True)
def what_a_link_sent_before_its_goodbye_is_routed(stage):
    topic = stage.topic("last")
    _, heard = stage.listener(topic, qos=1)
    speaker = stage.up("speaker")
    told = []
    for number in range(50):
        speaker.publish(topic, b"%d" % number, qos=1, settled=told.append)
    stage.close(speaker)
    came = stage.up_to_marker(stage.up("afterwards"), topic, heard)
    if [int(message.payload) for message in came] != list(range(50)):
        raise DiffersError("some of it is lost")
    if told != [True] * 50:
        raise DiffersError("some of it is routed and not acknowledged")


@behaviour("4.3.2", needs=("raw",), minor=True)
def what_is_sent_in_one_breath_with_a_goodbye_is_routed(stage):
    """Not by our links, which wait for the acknowledgements, but `mosquitto_pub` does it with QoS 0."""
    topic = stage.topic("last")
    _, heard = stage.listener(topic, qos=1)
    speaker = stage.raw("speaker")
    speaker.corked = True
    for number in range(20):
        speaker.publish(topic, b"%d" % number, qos=1)
    speaker.goodbye()
    speaker.uncork()
    stage.expect(lambda: speaker.gone, "a goodbye does not end the connection")
    came = stage.up_to_marker(stage.up("afterwards"), topic, heard)
    if [int(message.payload) for message in came] != list(range(20)):
        raise DiffersError(
            "most of it is lost, though acknowledged" if speaker.has(Kind.PUBACK) else "most of it is lost"
        )


@behaviour("5: 3.3.2.3.9", needs=("raw", "mqtt5"), minor=True)
def the_type_of_a_payload_reaches_its_subscribers(stage):
    listener = stage.raw("listener")
    listener.subscribe(stage.topic("a"), qos=0)
    stage.expect(lambda: listener.has(Kind.SUBACK), "a subscription is not granted")
    stage.up("speaker").publish(stage.topic("a"), b"\xa0", content_type="application/cbor")
    stage.expect(listener.publications, "a message is lost")
    if b"application/cbor" not in listener.publications()[0].properties:
        raise DiffersError("it is left out")
