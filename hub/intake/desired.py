"""The configurations that nodes should have, told to them and compared with what they say they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from becomingone.broker.link import Link
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.roster import Member
from becomingone.hub.intake.trust import Trust
from becomingone.wire.announce import State
from becomingone.wire.remote import Desired
from becomingone.wire.topics import Topics

_THERE: Final = (State.INIT, State.READY)


class DesiredConfigs:
    """Publishes ``node/<node>/desired``, and says when a node and what is desired of it drift apart.

    Parameters
    ----------
    config : HubConfig
        What is desired of each node.
    boot : int
        The hub's boot id.
    topics : Topics
        The cell's topics.
    trust : Trust
        Seals what is published.
    link : Link
        Takes them.
    event : callable
        Takes the content of an event ``drifted``.
    """

    def __init__(
        self,
        config: HubConfig,
        boot: int,
        *,
        topics: Topics,
        trust: Trust,
        link: Link,
        event: Callable[[dict[str, Any]], object],
    ) -> None:
        self._wanted = config.desired
        self._topics = topics
        self._boot = boot
        self._trust = trust
        self._link = link
        self._event = event
        self._next = 0
        self._told: dict[str, int] = {}
        self._drifted: dict[str, str] = {}

    def forget(self) -> None:
        """Tell everybody anew: the broker may have lost what it retained."""
        self._told.clear()

    def look(self, members: Iterable[Member]) -> None:
        """Tell the nodes that are there what is desired of them, once in each of their lives; to be called every s."""
        for member in members:
            if member.about is not None and member.state in _THERE:
                self._tell(member.id, member.about.boot, member.about.desired_sha256)
                self._compare(member.id, member.about.config_sha256, member.about.mode)

    def seen(self, member: Member) -> dict[str, str | bool | None]:
        """Give, for the snapshot, what is desired of a node, what it reports, and whether that is the same."""
        desired, about = self._wanted.get(member.id), member.about
        reported = about.config_sha256 if about is not None else None
        # Of a node that is not there nobody can say that it has what it should.
        known = desired is not None and reported is not None and member.state in _THERE
        return {
            "desired": desired,
            "reported": reported,
            "agrees": desired == reported if known else None,
            "mode": about.mode if about is not None else None,
        }

    def _tell(self, node: str, life: int, heard: str) -> None:
        desired = self._wanted.get(node, "")  # empty takes back what an earlier hub has said
        if self._told.get(node) == life or desired == heard == "":
            return
        topic = self._topics.desired(node)
        message = Desired(config_sha256=desired, boot=life, hub_boot=self._boot, id=self._next)
        payload = self._trust.seal_json(node, topic, message.model_dump_json().encode(), life)
        if self._link.publish(topic, payload, qos=1, retain=True):
            self._next += 1
            self._told[node] = life

    def _compare(self, node: str, reported: str, mode: str) -> None:
        desired = self._wanted.get(node)
        if desired is None or reported == desired:
            self._drifted.pop(node, None)
        elif self._drifted.get(node) != reported:
            self._drifted[node] = reported
            self._event({"node": node, "desired": desired, "reported": reported, "mode": mode})
