"""What a broker must refuse, and survive."""

from .behaviour import DiffersError, behaviour
from .raw import Kind


def _served(stage):
    """Others are served as before."""
    link, heard = stage.listener(stage.topic("others"), name="others", qos=1)
    link.publish(stage.topic("others"), b"!", qos=1)
    stage.expect(lambda: heard, "and others are no longer served")


def _thrown_out(stage, offend):
    client = stage.raw("offender")
    offend(client)
    if not stage.soon(lambda: client.gone):
        client.ping()
        served = stage.soon(lambda: client.has(Kind.PINGRESP))
        raise DiffersError("it stays, and is served" if served else "it stays, and is not served")
    _served(stage)


@behaviour("4.8", needs=("bytes",))
def a_client_that_sends_what_is_no_mqtt_is_thrown_out(stage):
    _thrown_out(stage, lambda client: client.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 9))


@behaviour("3.1", needs=("raw",), minor=True)
def a_client_that_introduces_itself_twice_is_thrown_out(stage):
    _thrown_out(stage, lambda client: client.connect(stage.client_id("offender")))


@behaviour("3.3.2.1", needs=("raw",), minor=True)
def a_message_to_a_wildcard_ends_the_connection(stage):
    _thrown_out(stage, lambda client: client.publish(stage.topic("#"), b"!"))


@behaviour("4.7.3", needs=("raw",), minor=True)
def a_nul_in_a_topic_ends_the_connection(stage):
    _, heard = stage.listener(stage.topic("nul", "+"), name="all")
    _thrown_out(stage, lambda client: client.publish(stage.topic("nul", "a\0b"), b"!"))
    if heard:
        raise DiffersError("it is delivered")


@behaviour("", needs=("raw", "size"))
def a_packet_above_2_mib_is_refused(stage):
    _, heard = stage.listener(stage.topic("big"), qos=0)
    _thrown_out(stage, lambda client: client.publish(stage.topic("big"), bytes(2 << 20)))
    if heard:
        raise DiffersError("it is delivered")


@behaviour("3.9.3", needs=("rules",), minor=True)
def a_forbidden_subscription_is_refused_and_the_link_says_so(stage):
    link = stage.link("curious")
    reasons = []
    link.on_down(reasons.append)
    link.subscribe("forbidden/#", lambda _message: None)
    link.start()
    stage.expect(lambda: reasons or link.connected, "the broker does not answer")
    if link.connected:
        raise DiffersError("it is granted")
    assert "subscription" in reasons[0], reasons


@behaviour("3.3.5", needs=("rules",))
def a_forbidden_message_is_not_delivered(stage):
    link, heard = stage.listener("+/" + stage.client_id("x"), stage.topic("marker"), qos=1)
    link.publish("forbidden/" + stage.client_id("x"), b"!", qos=1)
    if stage.up_to_marker(link, stage.topic("marker"), heard):
        raise DiffersError("it is delivered")


@behaviour("5: 3.4.2.1", needs=("rules", "mqtt5"), minor=True)
def the_sender_of_a_forbidden_message_is_told(stage):
    link = stage.up("speaker")
    told = []
    link.publish("forbidden/" + stage.client_id("x"), b"!", qos=1, settled=told.append)
    stage.expect(lambda: told, "it is not acknowledged at all")
    if told != [False]:
        raise DiffersError("it is acknowledged as any other")
