"""A node hears which configuration it should have, from its own hub only, and makes nothing else of it."""

from __future__ import annotations

from typing import Any

import pytest

from becomingone.broker.link import Message
from becomingone.node.desired import DesiredConfig
from becomingone.node.trust import Trust
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.remote import Desired
from becomingone.wire.seal import seal_json
from becomingone.wire.topics import Topics

TOPICS = Topics("becomingone", "home")
TOPIC = TOPICS.desired("n")
KEY = bytes(range(32))
BOOT = 9
ONE, TWO = "1" * 64, "2" * 64


class FakeLink:
    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def subscribe(self, topic: str, handler: Any, *, qos: int = 0) -> None:
        assert qos == 1
        self.handlers[topic] = handler


class Listening:
    def __init__(self, key: bytes | None = KEY) -> None:
        self.changes: list[str] = []
        self.link: Any = FakeLink()
        self.desired = DesiredConfig(
            "n",
            link=self.link,
            topics=TOPICS,
            trust=Trust(key, BOOT),
            clock=MeshClock(VirtualScheduler()),
            changed=lambda: self.changes.append(self.desired.sha256),
        )
        self.desired.start()

    def hear(self, payload: bytes, *, retained: bool = False) -> Listening:
        self.link.handlers[TOPIC](Message(TOPIC, payload, retained))
        return self

    def say(self, sha256: str, *, retained: bool = False, **fields: int) -> Listening:
        return self.hear(sealed(sha256, **fields), retained=retained)


def plain(sha256: str, **fields: int) -> bytes:
    return Desired(config_sha256=sha256, **{"boot": BOOT, "hub_boot": 3, **fields}).model_dump_json().encode()


def sealed(sha256: str, *, key: bytes = KEY, epoch: int | None = None, topic: str = TOPIC, **fields: int) -> bytes:
    return seal_json(key, topic, plain(sha256, **fields), fields.get("boot", BOOT) if epoch is None else epoch)


def test_what_the_hub_says_is_shown() -> None:
    node = Listening().say(ONE).say(ONE, id=1).say(TWO, id=2).say("", id=3)
    assert node.changes == [ONE, TWO, ""]
    assert not node.desired.refused


def test_the_same_again_after_a_reconnection_is_nothing_new() -> None:
    node = Listening().say(ONE, id=4).say(ONE, id=4, retained=True)
    assert (node.changes, node.desired.refused) == ([ONE], {})


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "announcement"),
        (b"[]", "announcement"),
        (b'{"config_sha256":"abc"}', "announcement"),
        (b" " * (1 << 21), "oversize"),
        (plain(TWO), "unsealed"),
        (sealed(TWO, key=KEY[::-1]), "forged"),
        (sealed(TWO, topic=TOPICS.about("n")), "forged"),
        (sealed(TWO, epoch=BOOT - 1), "forged"),
        (sealed(TWO).replace(b"22", b"32", 1), "forged"),
        (sealed(TWO, boot=BOOT - 1), "wrong_epoch"),
        (sealed(TWO, boot=BOOT + 1), "wrong_epoch"),
        (sealed(TWO, hub_boot=2, id=100), "replayed"),
        (sealed(TWO, id=6), "replayed"),
    ],
)
def test_what_is_not_the_hubs_newest_word_to_this_life_is_refused(payload: bytes, reason: str) -> None:
    node = Listening().say(ONE, id=7).hear(payload)
    assert (node.changes, node.desired.refused) == ([ONE], {reason: 1})


def test_what_the_broker_has_stored_for_an_earlier_life_is_no_forgery() -> None:
    node = Listening().say(ONE, boot=1, retained=True)
    assert (node.changes, node.desired.refused) == ([], {})
    node.hear(sealed(ONE, key=KEY[::-1]), retained=True)
    assert (node.changes, node.desired.refused) == ([], {"forged": 1})


def test_without_keys_the_word_of_the_broker_is_taken() -> None:
    node = Listening(key=None).hear(plain(ONE, boot=1), retained=True).hear(plain(TWO, id=1))
    assert node.changes == [ONE, TWO]
    node.hear(plain(ONE)).hear(b"x")
    assert node.desired.refused == {"replayed": 1, "announcement": 1}
