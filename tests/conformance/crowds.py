"""Many clients, and slow ones."""

from .behaviour import DiffersError, behaviour
from .raw import Kind

CROWD = 200


@behaviour("")
def two_hundred_clients_connect_at_once_and_are_served(stage):
    links, heard = [], []
    for number in range(CROWD):
        link = stage.link(f"c{number}")
        link.subscribe(stage.topic("all"), lambda _message, number=number: heard.append(number), qos=1)
        links.append(link)
    for link in links:
        link.start()
    stage.expect(lambda: all(link.connected for link in links), "some of them cannot connect", timeout_s=20.0)
    links[0].publish(stage.topic("all"), b"!", qos=1)
    stage.expect(lambda: len(heard) >= CROWD, "some of them are not served")
    if sorted(heard) != list(range(CROWD)):
        raise DiffersError("some of them are served twice")


@behaviour("", needs=("raw",))
def a_subscriber_that_does_not_read_holds_up_nobody_else(stage):
    """32 MiB for it, more than a kernel holds for a stream: the broker must drop, or hold, what it does not take."""
    topic = stage.topic("a")
    slow = stage.raw("slow")
    slow.subscribe(topic, qos=0)
    stage.expect(lambda: slow.has(Kind.SUBACK), "a subscription is not granted")
    slow.stop_reading()
    _, heard = stage.listener(topic, qos=0)
    speaker = stage.up("speaker")
    payload = bytes(1 << 20)
    for number in range(1, 33):
        speaker.publish(topic, payload)
        stage.expect(lambda number=number: len(heard) >= number, "others wait for it")
