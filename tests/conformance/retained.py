"""Retained messages."""

from .behaviour import DiffersError, behaviour


def _later(stage, topic_filter, name="later"):
    """Give topic, payload and flag of what a new subscriber is given before the answer to a later message."""
    link, heard = stage.listener(topic_filter, stage.topic("marker"), name=name, qos=1)
    came = stage.up_to_marker(link, stage.topic("marker"), heard)
    stage.close(link)
    return [(message.topic, message.payload, message.retained) for message in came]


@behaviour("3.3.1.3", transport=True)
def a_retained_message_reaches_later_subscribers_flagged(stage):
    speaker = stage.up("speaker")
    stage.retain(speaker, stage.topic("r"), b"kept")
    stage.routed(speaker)
    if _later(stage, stage.topic("r")) != [(stage.topic("r"), b"kept", True)]:
        raise DiffersError("it does not")


@behaviour("3.3.1.3")
def the_newer_retained_message_replaces_the_older(stage):
    speaker = stage.up("speaker")
    for payload in (b"old", b"new"):
        stage.retain(speaker, stage.topic("r"), payload)
    stage.routed(speaker)
    if _later(stage, stage.topic("r", "#")) != [(stage.topic("r"), b"new", True)]:
        raise DiffersError("it does not")


@behaviour("3.3.1.3")
def an_empty_payload_takes_a_retained_message_back(stage):
    topic = stage.topic("r")
    speaker, heard = stage.listener(topic, name="speaker", qos=1)
    stage.retain(speaker, topic, b"kept")
    stage.retain(speaker, topic, b"")
    stage.expect(lambda: [message.payload for message in heard] == [b"kept", b""], "standing subscribers are not told")
    if _later(stage, topic):
        raise DiffersError("it stays")


@behaviour("3.3.1.3")
def retained_messages_of_qos_0_are_kept_too(stage):
    speaker = stage.up("speaker")
    stage.retain(speaker, stage.topic("r"), b"kept", qos=0)
    stage.routed(speaker)
    if _later(stage, stage.topic("r")) != [(stage.topic("r"), b"kept", True)]:
        raise DiffersError("they are not")


@behaviour("3.3.1.3")
def a_standing_subscription_gets_retained_messages_as_ordinary_ones(stage):
    link, heard = stage.listener(stage.topic("r"), qos=1)
    stage.retain(link, stage.topic("r"), b"kept")
    stage.expect(lambda: heard, "a message of QoS 1 is lost")
    if heard[0].retained:
        raise DiffersError("they come flagged")


@behaviour("3.3.1.3")
def an_ordinary_message_leaves_the_retained_one_in_place(stage):
    speaker = stage.up("speaker")
    stage.retain(speaker, stage.topic("r"), b"kept")
    speaker.publish(stage.topic("r"), b"passing", qos=1)
    stage.routed(speaker)
    if _later(stage, stage.topic("r")) != [(stage.topic("r"), b"kept", True)]:
        raise DiffersError("it is replaced")


@behaviour("3.3.3", transport=True)
def retained_messages_may_be_binary_and_large(stage):
    speaker = stage.up("speaker")
    payloads = {stage.topic("r", "1"): bytes(range(256)), stage.topic("r", "2"): b"\x00\xff" * (1 << 19)}
    for topic, payload in payloads.items():
        stage.retain(speaker, topic, payload)
    stage.routed(speaker)
    if sorted(_later(stage, stage.topic("r", "+"))) != [(topic, payload, True) for topic, payload in payloads.items()]:
        raise DiffersError("they are lost or changed")


@behaviour("3.8.4")
def a_subscriber_gets_what_is_retained_under_its_own_filters_alone(stage):
    everything, _ = stage.listener(stage.topic("#"), name="everything")
    mine, others = stage.topic("mine", "a"), stage.topic("others", "a")
    for topic in (mine, others):
        stage.retain(everything, topic, b"kept")
    stage.routed(everything)
    for topic_filter in (mine, stage.topic("mine", "+")):
        link, heard = stage.overhear(topic_filter, name=f"narrow{len(topic_filter)}")
        came = stage.up_to_marker(everything, mine, heard)
        if [message.topic for message in came] != [mine]:
            raise DiffersError("it gets what is retained under the filters of others")
        stage.close(link)


@behaviour("3.8.4")
def a_later_subscription_brings_what_is_retained_under_it_alone(stage):
    speaker = stage.up("speaker")
    for name in ("first", "second"):
        stage.retain(speaker, stage.topic(name), b"kept")
    stage.routed(speaker)
    link, heard = stage.overhear(stage.topic("first"))
    stage.expect(lambda: heard, "retained messages do not come")
    link.subscribe(stage.topic("second"), lambda _message: None, qos=1)
    came = stage.up_to_marker(link, stage.topic("second"), heard)
    if [message.topic for message in came] != [stage.topic("first"), stage.topic("second")]:
        raise DiffersError("it brings others again")


@behaviour("3.8.4", transport=True)
def retained_messages_come_again_after_a_reconnection(stage):
    topic = stage.topic("r")
    link, heard = stage.listener(topic, qos=1)
    stage.retain(link, topic, b"kept")
    stage.expect(lambda: heard, "a message of QoS 1 is lost")
    stage.cut(link)
    stage.expect(lambda: len(heard) >= 2, "they do not")
    came = stage.up_to_marker(link, topic, heard)
    if [(message.payload, message.retained) for message in came] != [(b"kept", False), (b"kept", True)]:
        raise DiffersError("they come more than once")
