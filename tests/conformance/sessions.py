"""Sessions: what the broker remembers of a client that is away."""

from .behaviour import DiffersError, behaviour
from .raw import Kind

KEPT_S = 300


def _away(stage, session_s, payloads, *, qos=1):
    """Subscribe, go, have messages published meanwhile, come back; give the link and what it then heard."""
    topic = stage.topic("a")
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=session_s)
    assert not stage.up_to_marker(link, topic, heard)
    stage.close(link)
    speaker = stage.up("speaker")
    for payload in payloads:
        speaker.publish(topic, payload, qos=qos)
    stage.routed(speaker)
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=session_s)
    return [message.payload for message in stage.up_to_marker(link, topic, heard)]


@behaviour("3.1.2.4")
def a_clean_session_forgets(stage):
    if _away(stage, 0, [b"1", b"2"]):
        raise DiffersError("messages of meanwhile come")


@behaviour("3.1.2.4", transport=True)
def a_kept_session_brings_messages_of_qos_1_of_meanwhile_in_order(stage):
    payloads = [b"%d" % number for number in range(50)]
    came = _away(stage, KEPT_S, payloads)
    if not came:
        raise DiffersError("none come")
    if came != payloads:
        raise DiffersError("some are lost, doubled or out of order")


@behaviour("3.1.2.4", needs=("sessions",))
def a_kept_session_survives_a_broken_connection(stage):
    """Whatever comes between the break and the return: lost by a clean session, kept by this one."""
    topic = stage.topic("a")
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=KEPT_S)
    speaker = stage.up("speaker")
    stage.cut(link)
    for number in range(50):
        speaker.publish(topic, b"%d" % number, qos=1)
    stage.expect(lambda: link.connected, "a client cannot connect again")
    came = stage.up_to_marker(speaker, topic, heard)
    if list(dict.fromkeys(int(message.payload) for message in came)) != list(range(50)):
        raise DiffersError("messages of meanwhile are lost or out of order")


@behaviour("3.8.4", needs=("sessions",))
def a_subscription_made_again_in_a_kept_session_is_not_doubled(stage):
    topic = stage.topic("a")
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=KEPT_S)
    for _ in range(2):
        stage.cut(link)
        stage.expect(lambda: link.connected, "a client cannot connect again")
    came = stage.up_to_marker(link, topic, heard, before=b"once")
    if [message.payload for message in came] != [b"once"]:
        raise DiffersError("messages come more than once")


@behaviour("3.2.2.2", needs=("sessions", "raw"))
def the_broker_says_whether_it_has_kept_the_session(stage):
    present = []
    for options in ({"clean": True}, {"clean": False}, {"clean": False}, {"clean": True}):
        client = stage.raw("sleeper", **options, session_s=KEPT_S * (not options["clean"]))
        present.append(client.session_present)
        client.close()
    if present == [False] * 4:
        raise DiffersError("it never says that it has")
    if present != [False, False, True, False]:
        raise DiffersError("it says the contrary")


@behaviour("4.4", needs=("sessions", "raw"))
def what_a_client_has_not_acknowledged_is_sent_again_in_order(stage):
    topic = stage.topic("a")
    client = stage.raw("sleeper", clean=False, session_s=KEPT_S)
    client.subscribe(topic)
    stage.expect(lambda: client.has(Kind.SUBACK), "a subscription is not granted")
    speaker = stage.up("speaker")
    payloads = [b"%d" % number for number in range(5)]
    for payload in payloads:
        speaker.publish(topic, payload, qos=1)
    stage.expect(lambda: len(client.publications()) == 5, "messages of QoS 1 are lost")
    client.acknowledge(client.publications()[0])
    client.close()
    again = stage.raw("sleeper", clean=False, session_s=KEPT_S)
    stage.expect_soon(lambda: len(again.publications()) >= 4, "it is not")
    came = again.publications()
    if [publication.payload for publication in came[-4:]] != payloads[1:]:
        raise DiffersError("it comes in another order")
    if not all(publication.duplicate for publication in came):
        raise DiffersError("it is not marked as sent before")


@behaviour("4.4", transport=True)
def what_the_broker_has_not_acknowledged_is_sent_again_in_order(stage):
    topic = stage.topic("a")
    _, heard = stage.listener(topic, qos=1)
    speaker = stage.up("speaker")
    told = []
    for number in range(120):  # more than may be under way at once
        speaker.publish(topic, b"%d" % number, qos=1, settled=lambda known, number=number: told.append((number, known)))
    stage.cut(speaker)
    stage.expect(lambda: len(told) == 120, "some are never acknowledged")
    came = [int(message.payload) for message in stage.up_to_marker(speaker, topic, heard)]
    if told != [(number, True) for number in range(120)] or set(came) != set(range(120)):
        raise DiffersError("messages are lost")
    if list(dict.fromkeys(came)) != list(range(120)):
        raise DiffersError("the order is lost")


@behaviour("3.1.4", needs=("sessions",))
def the_newer_client_of_an_identifier_takes_over_the_session(stage):
    topic = stage.topic("a")
    first, before = stage.listener(topic, name="twin", qos=1, session_s=KEPT_S)
    first.on_down(lambda _reason: first.close())
    _, heard = stage.listener(topic, name="twin", qos=1, session_s=KEPT_S)
    stage.up("speaker").publish(topic, b"once", qos=1)
    stage.expect_soon(lambda: heard, "messages go to the older" if before else "neither is served")
    came = stage.up_to_marker(stage.up("afterwards"), topic, heard)
    if before or [message.payload for message in came] != [b"once"]:
        raise DiffersError("messages come more than once")
