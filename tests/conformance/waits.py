"""What takes seconds: silence, and what expires."""

from becomingone.broker.link import Will

from .behaviour import DiffersError, behaviour

SILENCE_S = 1
"""The shortest keepalive that there is; a broker that watches it acts after 1.5 s, Mosquitto within 7 s."""

QUIET_S = 3
"""Of one that pings, in time on a slow machine too."""


def _fall_silent(stage):
    topic = stage.topic("will")
    _, heard = stage.listener(topic, qos=1)
    client = stage.raw("silent", keepalive_s=SILENCE_S, will=Will(topic, b"lost"))
    return client, heard, stage.fabric.now_s()


@behaviour("3.1.2.10", prepare=_fall_silent, needs=("raw",))
def the_will_is_published_when_a_client_falls_silent(stage, begun):
    """Its connection is still open, as after a power cut: nothing but the keepalive tells."""
    _, heard, since_s = begun
    stage.expect(lambda: heard, "it is not", timeout_s=max(0.5, since_s + 8.0 - stage.fabric.now_s()))


def _stay(stage):
    link = stage.up("quiet", keepalive_s=QUIET_S)
    downs = []
    link.on_down(downs.append)
    return link, downs, stage.fabric.now_s()


@behaviour("3.12.4", prepare=_stay)
def a_client_that_has_nothing_to_say_stays_connected(stage, begun):
    link, downs, since_s = begun
    _wait(stage, since_s + 2.0 * QUIET_S)
    if downs or not link.connected:
        raise DiffersError("it is thrown out though it pings")


def _let_expire(stage):
    """Messages of which every other expires: one lot for a client that is away, one retained."""
    topic = stage.topic("a")
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=300)
    assert not stage.up_to_marker(link, topic, heard)
    stage.close(link)
    speaker = stage.up("speaker")
    for number in range(4):
        speaker.publish(topic, b"%d" % number, qos=1, expiry_s=1.0 if number % 2 else None)
        stage.retain(speaker, stage.topic("r", str(number)), b"!", expiry_s=1.0 if number % 2 else None)
    stage.routed(speaker)
    return stage.fabric.now_s()


def _wait(stage, until_s):
    stage.until(lambda: stage.fabric.now_s() > until_s, timeout_s=60.0)


@behaviour("5: 3.3.2.3.3", prepare=_let_expire, needs=("mqtt5",))
def a_message_that_has_expired_is_not_delivered(stage, since_s):
    """Whole seconds, counted at the start of each: 3 s are enough for 1 s."""
    _wait(stage, since_s + 3.0)
    topic = stage.topic("a")
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=300)
    if [message.payload for message in stage.up_to_marker(link, topic, heard)] != [b"0", b"2"]:
        raise DiffersError("it comes to a client that was away")
    link, heard = stage.listener(stage.topic("r", "+"), stage.topic("marker"), name="later", qos=1)
    kept = [message.topic for message in stage.up_to_marker(link, stage.topic("marker"), heard)]
    if sorted(kept) != [stage.topic("r", "0"), stage.topic("r", "2")]:
        raise DiffersError("it stays retained")


def _leave(stage):
    topic = stage.topic("a")
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=1)
    assert not stage.up_to_marker(link, topic, heard)
    stage.close(link)
    speaker = stage.up("speaker")
    speaker.publish(topic, b"!", qos=1)
    stage.routed(speaker)
    return stage.fabric.now_s()


@behaviour("5: 3.1.2.11.2", prepare=_leave, needs=("mqtt5",))
def a_session_that_has_expired_is_forgotten(stage, since_s):
    _wait(stage, since_s + 4.0)
    topic = stage.topic("a")
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=1)
    if stage.up_to_marker(link, topic, heard):
        raise DiffersError("it is not")
