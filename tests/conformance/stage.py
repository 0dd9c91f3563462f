"""Where one behaviour is asked for: topics and client identifiers of its own, and a clean floor afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from becomingone.broker.link import Link, Message, Will

from .behaviour import DiffersError
from .fabric import Fabric
from .raw import Kind

_NUMBERS = itertools.count(1)
_MARKER = b"marker \xff"


class Stage:
    """What a behaviour's check is given.

    Parameters
    ----------
    fabric : Fabric
        The broker, and our hold on it.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.until = fabric.until
        number = next(_NUMBERS)
        self._topics = f"becomingone-conformance/{fabric.run}/{number}"
        self._clients = f"{fabric.run}{number}"
        self._links: list[Link] = []
        self._witnesses = 0
        self._raw: list = []
        self._kept: set[str] = set()
        self._retained: set[str] = set()

    def expect(self, condition: Callable[[], object], instead: str, timeout_s: float | None = None) -> None:
        """Wait for a condition; if it does not come, the broker differs in the way that `instead` says."""
        if not self.fabric.until(condition, self.fabric.patience_s if timeout_s is None else timeout_s):
            raise DiffersError(instead)

    def expect_soon(self, condition: Callable[[], object], instead: str) -> None:
        """Do the same, but only for what the broker does at once."""
        if not self.soon(condition):
            raise DiffersError(instead)

    def soon(self, condition: Callable[[], object]) -> bool:
        """Wait for a condition as long as the broker answers another client thirty times, and for 0.2 s.

        The broker's own pace is the clock: what it does at once it has done by then, on a slow machine too.
        """
        self._witnesses += 1
        topic = self.topic("clock", str(self._witnesses))
        link, heard = self.listener(topic, name=f"clock{self._witnesses}", qos=1)
        end = self.fabric.now_s() + 0.2
        rounds = 0
        while not condition() and (rounds < 30 or self.fabric.now_s() < end):
            rounds += 1
            assert link.publish(topic, b"tick", qos=1)
            self.expect(lambda rounds=rounds: condition() or len(heard) == rounds, "a message of QoS 1 is lost")
        self.close(link)
        return bool(condition())

    def topic(self, *levels: str) -> str:
        """Give a topic, or a filter, of this stage's own."""
        return "/".join((self._topics, *levels))

    def client_id(self, name: str) -> str:
        """Give a client identifier of at most 23 letters and digits, which every broker must take (3.1.3-5)."""
        made = f"{self._clients}{name}"
        assert made.isalnum(), made
        assert len(made) <= 23, made
        return made

    def link(self, name: str, will: Will | None = None, **options) -> Link:
        """Make a link that has not been started."""
        made = self.fabric.link(self.client_id(name), will, **options)
        if options.get("session_s"):
            self._kept.add(name)
        if will is not None:
            self._retained.add(will.topic)
        self._links.append(made)
        return made

    def up(self, name: str, will: Will | None = None, **options) -> Link:
        """Make a link and wait until it is connected."""
        return self.start(self.link(name, will, **options))

    def start(self, link: Link) -> Link:
        """Start a link and wait until it is connected."""
        link.start()
        self.expect(lambda: link.connected, "a client cannot connect")
        return link

    def listener(self, *filters: str, name: str = "listener", qos=0, **options) -> tuple[Link, list[Message]]:
        """Make a connected link and the list of what comes to it."""
        link = self.link(name, **options)
        heard: list[Message] = []
        for topic_filter in filters:
            link.subscribe(topic_filter, heard.append, qos=qos)
        return self.start(link), heard

    def overhear(self, *filters: str, name: str = "listener") -> tuple[Link, list[Message]]:
        """Do the same, but with everything that the broker sends, wanted or not: before any routing of the link's."""
        link = self.link(name)
        heard: list[Message] = []
        pass_on = link._arrived  # which acknowledges
        link._arrived = lambda message: (heard.append(message), pass_on(message))
        for topic_filter in filters:
            link.subscribe(topic_filter, lambda _message: None, qos=1)
        return self.start(link), heard

    def retain(self, link: Link, topic: str, payload: bytes, qos=1, **options) -> None:
        """Publish a retained message; it is taken back when the curtain falls."""
        self._retained.add(topic)
        assert link.publish(topic, payload, qos=qos, retain=True, **options)

    def routed(self, link: Link, name: str = "witness") -> None:
        """Wait until the broker has routed everything that the link has sent so far."""
        marker = self.topic("marker", name)
        witness, heard = self.listener(marker, name=name, qos=1)
        assert link.publish(marker, b"", qos=1)
        self.expect(lambda: heard, "a message of QoS 1 is lost")
        self.close(witness)

    def raw(self, name: str, **options):
        """Make a connected raw client."""
        made = self.fabric.raw()
        self._raw.append(made)
        if not options.get("clean", True):
            self._kept.add(name)
        if options.get("will") is not None:
            self._retained.add(options["will"].topic)
        made.connect(self.client_id(name), **options)
        self.expect(lambda: made.has(Kind.CONNACK), "a client cannot connect")
        return made

    def close(self, link: Link) -> None:
        """Say goodbye."""
        closed: list[bool] = []
        link.close(lambda: closed.append(True))
        self._links.remove(link)
        assert self.until(lambda: closed), "a link does not close"

    def cut(self, link: Link) -> None:
        """Break a link's connection and wait until it knows."""
        downs: list[str] = []
        link.on_down(downs.append)
        self.fabric.cut(link)
        assert self.until(lambda: downs), "a link does not notice that its connection is gone"

    def clear(self) -> None:
        """Close what is open, end the sessions, take back what is retained."""
        for raw in self._raw:
            raw.close()
        for link in list(self._links):
            self.close(link)
        for name in self._kept:
            self.close(self.up(name))  # a clean session ends the kept one
        if self._retained:
            broom = self.up("broom")
            for topic in self._retained:
                broom.publish(topic, b"", qos=1, retain=True)
            self.close(broom)

    def up_to_marker(
        self, link: Link, topic: str, heard: list[Message], *, before: bytes | None = None, qos=1
    ) -> list[Message]:
        """Publish a marker and give what has been heard before it; `before` is published in front of it."""
        if before is not None:
            assert link.publish(topic, before, qos=qos)
        assert self.until(lambda: link.publish(topic, _MARKER, qos=qos))
        self.expect(lambda: any(message.payload == _MARKER for message in heard), f"messages of QoS {qos} are lost")
        return heard[: [message.payload for message in heard].index(_MARKER)]
