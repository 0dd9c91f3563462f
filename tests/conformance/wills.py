"""Wills: what the broker says for a client that has fallen silent."""

from becomingone.broker.link import Will

from .behaviour import DiffersError, behaviour


@behaviour("3.1.2.5", transport=True)
def the_will_is_published_when_the_connection_breaks(stage):
    topic = stage.topic("will")
    _, heard = stage.listener(topic, qos=1)
    broken = stage.up("broken", Will(topic, b"lost"))
    stage.cut(broken)
    stage.expect(lambda: heard, "it is not")
    stage.expect(lambda: broken.connected, "a client cannot connect again")
    came = stage.up_to_marker(broken, topic, heard)
    if [message.payload for message in came] != [b"lost"]:
        raise DiffersError("it comes more than once")


@behaviour("3.14.4", transport=True)
def the_will_is_not_published_after_a_goodbye(stage):
    topic = stage.topic("will")
    observer, heard = stage.listener(topic, qos=1)
    stage.close(stage.up("polite", Will(topic, b"lost")))
    again = stage.up("polite")  # the broker has done with the goodbye
    stage.routed(again)
    if stage.up_to_marker(observer, topic, heard):
        raise DiffersError("it is published all the same")


@behaviour("3.1.2.5")
def a_will_may_be_retained_and_binary(stage):
    topic = stage.topic("will")
    payload = bytes(range(256))
    _, heard = stage.listener(topic, qos=1)
    stage.cut(stage.up("broken", Will(topic, payload)))
    stage.expect(lambda: heard, "it is not published")
    later, kept = stage.listener(topic, name="later", qos=1)
    came = stage.up_to_marker(later, topic, kept)
    if [(message.payload, message.retained) for message in came] != [(payload, True)]:
        raise DiffersError("it is not retained, or changed")


@behaviour("3.1.4", minor=True)
def the_will_is_published_when_another_takes_the_client_identifier(stage):
    topic = stage.topic("will")
    _, heard = stage.listener(topic, qos=1)
    first = stage.up("twin", Will(topic, b"first"))
    first.on_down(lambda _reason: first.close())
    stage.up("twin")
    stage.expect_soon(lambda: heard, "it is not")


@behaviour("3.1.4")
def a_newer_client_takes_the_identifier_of_an_older(stage):
    downs = []
    first = stage.up("twin")
    first.on_down(lambda reason: (downs.append(reason), first.close()))
    second = stage.up("twin")
    stage.expect_soon(lambda: downs, "both stay connected")
    assert second.connected
