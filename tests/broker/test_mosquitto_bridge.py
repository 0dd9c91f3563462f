"""A child cell's Mosquitto and its parent's: the aggregate goes up, sync comes down, and nothing else crosses."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from becomingone.broker.config import BrokerConfig

from .authority import Authority
from .raw_mqtt import RawClient
from .standing import Standing, free, installed, program

STATE = "$SYS/broker/connection/becomingone.home.relay.house/state"
AGGREGATE = "becomingone/house/cell/home/aggregate"
SYNC = "becomingone/house/sync/stride"


class Family(NamedTuple):
    parent_authority: Authority
    child_authority: Authority
    parent_config: BrokerConfig
    child_config: BrokerConfig
    program: Path | None

    def parent(self) -> Standing:
        return Standing(self.parent_config, program(self.program))

    def child(self) -> Standing:
        return Standing(self.child_config, program(self.program))

    def _member(self, config: BrokerConfig, authority: Authority, name: str) -> RawClient:
        context = ssl.create_default_context(cafile=str(authority.ca))
        identity = authority.client(name)
        context.load_cert_chain(identity.certificate, identity.key)
        return RawClient(config.listeners[0].port, version=5, tls=context)

    def above(self, name: str) -> RawClient:
        return self._member(self.parent_config, self.parent_authority, name)

    def below(self, name: str) -> RawClient:
        return self._member(self.child_config, self.child_authority, name)


def make(folder: Path, mosquitto: Path | None, relay: str = "relay:home") -> Family:
    parent, child = Authority(folder / "parent_ca", "parent"), Authority(folder / "child_ca", "child")
    ours = parent.client(relay)
    configs = []
    for cell, authority, more in (
        ("house", parent, {"identities": {"nodes": ["cellar"], "relays": ["home", "attic"]}}),
        ("home", child, {"identities": {"nodes": ["kitchen"]}}),
    ):
        server = authority.server()
        configs.append(
            {
                "cell": cell,
                "listeners": [{"port": free(), "tls": True}],
                "tls": {"certificate": server.certificate, "key": server.key, "ca": authority.ca},
                "persistence": {"enabled": False},
                "sys_interval_s": 1,
                "state_dir": folder / cell,
                **more,
            }
        )
    configs[1]["bridges"] = [
        {
            "parent": "house", "url": f"mqtts://127.0.0.1:{configs[0]['listeners'][0]['port']}", "ca": parent.ca,
            "certificate": ours.certificate, "key": ours.key,
        }
    ]  # fmt: skip
    above, below = (BrokerConfig.model_validate(config) for config in configs)
    return Family(parent, child, above, below, mosquitto)


@pytest.fixture(params=installed())
def family(request, tmp_path: Path) -> Iterator[Family]:
    return make(tmp_path, request.param)


def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def standing(hub: RawClient) -> bool:
    """Whether the bridge says that it stands; the hub has subscribed to where it says so."""
    hub.ping()
    said = [one.payload for one in hub.inbox if one.topic == STATE]
    return said[-1:] == [b"1"]


def test_the_aggregate_goes_up_and_sync_comes_down_and_nothing_else(family: Family) -> None:
    with (
        family.parent(),
        family.child(),
        family.above("hub") as above,
        family.below("hub") as below,
        family.below("kitchen") as kitchen,
    ):
        for client in (above, below, kitchen):
            client.subscribe("#", STATE)
        assert until(lambda: standing(below))
        for client in (above, below):
            client.drain()

        below.publish(AGGREGATE, b"sum")
        assert until(lambda: (above.ping(), above.inbox)[1])
        # what else the child says stays below
        for topic in ("becomingone/home/snapshot", "becomingone/home/sync/stride", "becomingone/house/sync/stride"):
            below.publish(topic, b"of the child")
        below.publish(AGGREGATE, b"again")
        assert until(lambda: (above.ping(), len(above.inbox) >= 2)[1])
        assert [(one.topic, one.payload) for one in above.drain()] == [(AGGREGATE, b"sum"), (AGGREGATE, b"again")]

        below.drain()
        kitchen.drain()
        for topic in ("snapshot", "hub/state", "node/cellar/cmd/restart", "cell/home/aggregate"):
            above.publish(f"becomingone/house/{topic}", b"of the parent", retain=True)
        above.publish(SYNC, b"now")
        assert until(lambda: (below.ping(), below.inbox)[1])
        assert [(one.topic, one.payload) for one in below.drain()] == [(SYNC, b"now")]
        assert kitchen.drain() == []  # its own hub keeps its time
        assert not any(one.topic.startswith("$SYS/broker/connection") for one in above.drain())


@pytest.mark.slow
def test_it_comes_back_by_itself(family: Family) -> None:
    parent = family.parent()
    with family.child(), family.below("hub") as below:
        below.subscribe(STATE)
        assert until(lambda: standing(below))
        parent.close()
        assert until(lambda: not standing(below))
        with family.parent(), family.above("hub") as above:
            above.subscribe("#")
            assert until(lambda: standing(below))
            below.publish(AGGREGATE, b"after")
            assert until(lambda: (above.ping(), above.inbox)[1])


@pytest.mark.parametrize("mosquitto", installed())
@pytest.mark.parametrize("name", ["relay:attic", "cellar"])
def test_another_child_s_certificate_does_not_speak_for_this_one(
    mosquitto: Path | None, tmp_path: Path, name: str
) -> None:
    family = make(tmp_path, mosquitto, relay=name)
    with family.parent(), family.child(), family.above("hub") as above, family.below("hub") as below:
        above.subscribe("#")
        below.subscribe("#", STATE)
        assert until(lambda: standing(below))
        below.drain()
        below.publish(AGGREGATE, b"forged")
        above.publish(SYNC, b"now")  # both of them may hear this
        assert until(lambda: (below.ping(), any(one.topic == SYNC for one in below.inbox))[1])
        below.publish(AGGREGATE, b"forged again")
        above.publish(SYNC, b"later")
        assert until(lambda: (below.ping(), any(one.payload == b"later" for one in below.inbox))[1])
        assert all(one.topic == SYNC for one in above.drain())
