"""The broker is killed, and comes back."""

from .behaviour import DiffersError, behaviour


def _crash(stage, *links):
    downs = []
    for link in links:
        link.on_down(lambda reason, link=link: downs.append(link))
    stage.fabric.crash()
    assert stage.until(lambda: set(map(id, downs)) == set(map(id, links))), "a link does not notice the crash"


def _restart(stage, *links):
    stage.fabric.restart()
    stage.expect(lambda: all(link.connected for link in links), "clients cannot connect again", timeout_s=10.0)


@behaviour("", transport=True, needs=("crash",))
def links_come_back_with_their_subscriptions(stage):
    topic = stage.topic("a")
    link, heard = stage.listener(topic, qos=1)
    _crash(stage, link)
    assert not link.publish(topic, b"nobody"), "a link takes messages without a broker"
    _restart(stage, link)
    came = stage.up_to_marker(link, topic, heard, before=b"again")
    if [message.payload for message in came] != [b"again"]:
        raise DiffersError("the subscription is not in force")


@behaviour("", transport=True, needs=("crash",))
def what_was_not_acknowledged_is_known_and_is_sent_again(stage):
    speaker = stage.up("speaker")
    told = []
    for number in range(30):
        stage.retain(
            speaker,
            stage.topic("r", str(number)),
            b"!",
            settled=lambda known, number=number: told.append((number, known)),
        )
    _crash(stage, speaker)
    before = len(told)
    assert not speaker.publish(stage.topic("late"), b"!", qos=1), "a link takes messages without a broker"
    _restart(stage, speaker)
    stage.expect(lambda: len(told) == 30, "some are never acknowledged")
    assert told == [(number, True) for number in range(30)], told
    link, heard = stage.listener(stage.topic("r", "+"), stage.topic("marker"), qos=1)
    there = {int(message.topic.rsplit("/")[-1]) for message in stage.up_to_marker(link, stage.topic("marker"), heard)}
    if not there >= set(range(before, 30)):
        raise DiffersError("some of it is lost")


@behaviour("4.1", needs=("crash", "persistence"))
def retained_messages_outlive_a_crash(stage):
    topic = stage.topic("r")
    speaker = stage.up("speaker")
    stage.retain(speaker, topic, b"\x00\xffkept")
    stage.routed(speaker)
    _crash(stage, speaker)
    _restart(stage, speaker)
    link, heard = stage.listener(topic, qos=1)
    came = stage.up_to_marker(link, topic, heard)
    if [(message.payload, message.retained) for message in came] != [(b"\x00\xffkept", True)]:
        raise DiffersError("they do not")


@behaviour("4.1", needs=("crash", "persistence"))
def kept_sessions_outlive_a_crash(stage):
    topic = stage.topic("a")
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=300)
    assert not stage.up_to_marker(link, topic, heard)
    stage.close(link)
    speaker = stage.up("speaker")
    for number in range(20):
        speaker.publish(topic, b"%d" % number, qos=1)
    stage.routed(speaker)
    _crash(stage, speaker)
    _restart(stage, speaker)
    link, heard = stage.listener(topic, name="sleeper", qos=1, session_s=300)
    came = stage.up_to_marker(link, topic, heard)
    if [int(message.payload) for message in came] != list(range(20)):
        raise DiffersError("they do not")
