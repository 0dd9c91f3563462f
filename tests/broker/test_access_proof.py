"""The access rules against a real Mosquitto: every identity, every kind of topic, every way to read and to write.

What ought to be is stated here by hand, row by row, and not taken from the code that makes the rules. A refused message
is proven by its absence: at a witness who may read everything, and hears a marker that was published after it.
"""

from __future__ import annotations

import functools
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from becomingone.broker.config import BrokerConfig
from becomingone.wire.topics import CELL_FIGURES, CELL_PATTERNS, Topics, matches

from .authority import Authority, Identity
from .raw_mqtt import GoneError, RawClient, RefusedError
from .standing import Standing, free, installed, program

HOME = "becomingone/home/"
PEOPLE = "hub anna eye"
RESULTS = "hub anna wall eye"
NODES = "kitchen desk"
NOBODY = ""


class Row(NamedTuple):
    topic: str
    writers: str
    readers: str


def branch(node: str) -> list[Row]:
    """What stands below a node's branch, or is named after it elsewhere."""
    return [
        Row(f"{HOME}node/{node}/state", f"{node} hub", f"{node} {RESULTS}"),
        Row(f"{HOME}node/{node}/about", f"{node} hub", PEOPLE),
        Row(f"{HOME}node/{node}/health", f"{node} hub", PEOPLE),
        Row(f"{HOME}node/{node}/phase/stride/gyr_z", node, PEOPLE),
        Row(f"{HOME}node/{node}/kept", node, PEOPLE),
        Row(f"{HOME}node/{node}/oscillator/stride", node, PEOPLE),
        Row(f"{HOME}node/{node}/output/light/state", f"{node} hub", RESULTS),
        Row(f"{HOME}node/{node}/output/light/set", "hub", f"{node} {PEOPLE}"),
        Row(f"{HOME}node/{node}/cmd/restart", "hub", f"{node} {PEOPLE}"),
        Row(f"{HOME}node/{node}/cmd/rebirth", "hub", f"{node} {PEOPLE}"),
        Row(f"{HOME}node/{node}/desired", "hub", f"{node} {PEOPLE}"),
        Row(f"{HOME}node/{node}/reply/7", node, PEOPLE),
        Row(f"{HOME}ack/{node}", "hub", f"{node} {PEOPLE}"),
        Row(f"{HOME}clock/ping/{node}", node, PEOPLE),
        Row(f"{HOME}clock/pong/{node}", "hub", f"{node} {PEOPLE}"),
        Row(f"{HOME}request/{node}/light", "anna", PEOPLE),
        Row(f"{HOME}request/{node}/cmd/restart", "anna", PEOPLE),
        Row(f"{HOME}answer/{node}/anna-17", "hub", PEOPLE),
        # what the protocol has not got
        Row(f"{HOME}node/{node}", NOBODY, PEOPLE),
        Row(f"{HOME}node/{node}/unknown", NOBODY, PEOPLE),
        Row(f"{HOME}node/{node}/state/more", NOBODY, PEOPLE),
        Row(f"{HOME}node/{node}/phase/stride", NOBODY, PEOPLE),
        Row(f"{HOME}node/{node}/phase/stride/gyr_z/more", NOBODY, PEOPLE),
        Row(f"{HOME}node/{node}/output/light", NOBODY, PEOPLE),
        Row(f"{HOME}node/{node}/cmd", NOBODY, PEOPLE),
        Row(f"{HOME}node/{node}/cmd/restart/now", NOBODY, PEOPLE),
        Row(f"{HOME}request/{node}", NOBODY, PEOPLE),
        Row(f"{HOME}request/{node}/cmd/restart/now", NOBODY, PEOPLE),
        Row(f"{HOME}request/{node}/light/restart", NOBODY, PEOPLE),
    ]


ROWS = [
    *branch("kitchen"),
    *branch("desk"),
    Row(f"{HOME}node/stranger/state", "hub", RESULTS),
    Row(f"{HOME}node/stranger/about", "hub", PEOPLE),
    Row(f"{HOME}node/stranger/phase/stride/gyr_z", NOBODY, PEOPLE),
    Row(f"{HOME}hub/state", "hub", f"{NODES} {RESULTS}"),
    Row(f"{HOME}hub/about", "hub", RESULTS),
    Row(f"{HOME}hub/health", "hub", RESULTS),
    Row(f"{HOME}hub/nonsense", NOBODY, PEOPLE),
    Row(f"{HOME}emerged", "hub", RESULTS),
    Row(f"{HOME}band/stride/emerged", "hub", RESULTS),
    Row(f"{HOME}witness/meso", "hub", RESULTS),
    Row(f"{HOME}audit/eye/state", "eye", PEOPLE),
    Row(f"{HOME}audit/eye/report", "eye", PEOPLE),
    Row(f"{HOME}audit/eye/event/disagreement", "eye", PEOPLE),
    Row(f"{HOME}audit/other/report", NOBODY, PEOPLE),
    *(Row(f"{HOME}{figure}", "hub", RESULTS) for figure in ("coherence", "order", "locking", "phase")),
    *(Row(f"{HOME}band/stride/{figure}", "hub", RESULTS) for figure in ("coherence", "order", "locking", "phase")),
    Row(f"{HOME}snapshot", "hub", RESULTS),
    Row(f"{HOME}event/collapse", "hub", RESULTS),
    Row(f"{HOME}event/collapse/last", "hub", RESULTS),
    Row(f"{HOME}sync/stride", "hub", f"{NODES} hub anna garage eye"),
    Row(f"{HOME}cell/garage/aggregate", "garage", PEOPLE),
    Row(f"{HOME}cell/attic/aggregate", NOBODY, PEOPLE),
    Row(f"{HOME}nonsense", NOBODY, PEOPLE),
    Row("becomingone/home", NOBODY, PEOPLE),
    Row("homeassistant/device/kitchen/config", "hub", "hub anna"),
    Row("homeassistant/status", "hub anna", "hub anna"),
    Row("homeassistant/light/lamp/set", "hub", "hub anna"),
    # elsewhere
    Row("becomingone/attic/node/kitchen/state", NOBODY, NOBODY),
    Row("becomingone/attic/hub/state", NOBODY, NOBODY),
    Row("becomingone/attic/cell/home/aggregate", NOBODY, NOBODY),
    Row("elsewhere/home/snapshot", NOBODY, NOBODY),
    Row("becomingone", NOBODY, NOBODY),
    Row("zigbee2mqtt/lamp", NOBODY, NOBODY),
    Row("/", NOBODY, NOBODY),
    Row("$CONTROL/dynamic-security/v1", NOBODY, NOBODY),
    Row("$SYS/broker/version", NOBODY, NOBODY),  # written by the broker alone; reading it is asked below
    Row("$SYS/broker/connection/kitchen/state", NOBODY, NOBODY),
    Row("$share/g/becomingone/home/snapshot", NOBODY, NOBODY),
]
OURS = [row for row in ROWS if not row.topic.startswith("$")]
MEMBERS = {
    "kitchen": "kitchen",
    "desk": "desk",
    "hub": "hub",
    "anna": "operator:anna",
    "wall": "observer:wall",
    "garage": "relay:garage",
    "eye": "witness:eye",
    "stranger": "stranger",  # the authority's signature, and a name that nobody has been given
}
VERSIONS = (4, 5)
NOT_AUTHORISED = 0x87
WITNESS = "\nuser witness\ntopic readwrite #\ntopic read $SYS/#\n"


def may_write(member: str, row: Row) -> bool:
    return member in row.writers.split()


def may_read(member: str, row: Row) -> bool:
    return member in row.readers.split()


class Proof(NamedTuple):
    broker: Standing
    authority: Authority
    port: int

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

    @functools.lru_cache  # noqa: B019 - as many as there are names
    def named(self, common_name: str) -> ssl.SSLContext:
        return self.context(self.authority.client(common_name))

    def member(self, name: str, version: int = 4, **more) -> RawClient:
        return RawClient(self.port, version=version, tls=self.named(MEMBERS.get(name, name)), **more)

    def witness(self) -> RawClient:
        """Somebody who hears everything."""
        return self.member("witness")


@pytest.fixture(scope="module", params=installed())
def proof(request, tmp_path_factory) -> Iterator[Proof]:
    folder = tmp_path_factory.mktemp("access")
    authority = Authority(folder / "ca")
    broker = authority.server()
    port = free()
    config = BrokerConfig.model_validate(
        {
            "listeners": [{"port": port, "tls": True}],
            "tls": {"certificate": broker.certificate, "key": broker.key, "ca": authority.ca},
            "identities": {
                "nodes": ["kitchen", "desk"], "operators": ["anna"], "observers": ["wall"], "relays": ["garage"],
                "witnesses": ["eye"],
            },
            "persistence": {"enabled": False},
            "sys_interval_s": 1,
            "state_dir": folder / "broker",
        }
    )  # fmt: skip
    with Standing(config, program(request.param), more_access=WITNESS) as standing:
        yield Proof(standing, authority, port)


class Hearing:
    """What a witness hears between one marker and the next."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof
        self._markers = 0
        self._open()

    def _open(self) -> None:
        self._client = self._proof.witness()
        self._client.subscribe("#", "$SYS/broker/connection/#", "$CONTROL/#")

    def heard(self) -> list[tuple[str, bytes]]:
        self._markers += 1
        marker = b"marker %d" % self._markers
        self._client.publish("marker", marker)
        found = [(one.topic, one.payload) for one in self._client.drain()]
        assert found[-1] == ("marker", marker)
        return found[:-1]

    def stored(self) -> set[tuple[str, bytes]]:
        """Give what is retained, as one who comes new is told it, and clear it away."""
        self.close()
        self._open()
        found = self.heard()
        for topic, _ in found:
            self._client.publish(topic, b"", retain=True)
        self._client.drain()
        return set(found)

    def close(self) -> None:
        self._client.drop()


@pytest.fixture
def hearing(proof: Proof) -> Iterator[Hearing]:
    made = Hearing(proof)
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def count() -> Iterator[Counter[str]]:
    """How many combinations were checked, told at the end."""
    made: Counter[str] = Counter()
    yield made
    ways = ", ".join(f"{number} {way}" for way, number in made.items())
    print(f"\naccess: {made.total()} combinations of identity, topic and version checked: {ways}")


def everybody() -> list[tuple[str, int]]:
    return [(member, version) for member in MEMBERS for version in VERSIONS]


def token(*parts: object) -> bytes:
    return "|".join(map(str, parts)).encode()


def publish_everything(client: RawClient, *marks: object, retain: bool) -> dict[str, int]:
    """Publish on every topic, and give the broker's reasons by topic."""
    asked: dict[str, int] = {}
    for number, row in enumerate(ROWS, 1):
        asked[row.topic] = client.send(row.topic, token(*marks, row.topic), retain=retain)
        if number % 50 == 0:  # fewer than the broker lets be under way at once
            client.wait_acks()
    client.wait_acks()
    return {topic: client.acks[identifier] for topic, identifier in asked.items()}


def written(*marks: object) -> list[tuple[str, bytes]]:
    return [(row.topic, token(*marks, row.topic)) for row in ROWS if may_write(str(marks[0]), row)]


def test_the_table_here_holds_every_kind_of_topic() -> None:
    """What the protocol names, written down once more: a new topic has to be put into the table by hand."""
    topics = Topics("becomingone", "home")
    named = {
        topics.state("kitchen"), topics.about("kitchen"), topics.health("kitchen"), topics.desired("kitchen"),
        topics.phase("kitchen", "stride", "gyr_z"), topics.oscillator("kitchen", "stride"), topics.reply("kitchen", 7),
        topics.output_set("kitchen", "light"), topics.output_state("kitchen", "light"),
        topics.command("kitchen", "rebirth"), topics.request("kitchen", "light"), topics.ack("kitchen"),
        topics.operate("kitchen", "restart"), topics.answer("kitchen", "anna-17"),
        topics.clock_ping("kitchen"), topics.clock_pong("kitchen"), topics.sync("stride"), topics.aggregate("garage"),
        topics.hub_state, topics.hub_about, topics.hub_health, topics.witness("meso"), topics.audit("eye", "report"),
        topics.figure("emerged"), topics.figure("emerged", "stride"), topics.snapshot, topics.event("collapse"),
        *(topics.figure(figure) for figure in CELL_FIGURES),
        *(topics.figure(figure, "stride") for figure in CELL_FIGURES),
    }  # fmt: skip
    assert named <= {row.topic for row in ROWS}
    assert len({row.topic for row in ROWS}) == len(ROWS)
    for pattern in CELL_PATTERNS:
        assert any(matches(HOME + pattern, row.topic) for row in ROWS), pattern


@pytest.mark.parametrize("retain", [False, True], ids=["published", "retained"])
def test_only_what_is_granted_is_written(proof: Proof, hearing: Hearing, count: Counter[str], retain: bool) -> None:
    for member, version in everybody():
        with proof.member(member, version) as client:
            reasons = publish_everything(client, member, version, retain=retain)
        if version == 5:
            refused = {topic for topic, reason in reasons.items() if reason == NOT_AUTHORISED}
            assert refused == {row.topic for row in ROWS if not may_write(member, row)}, member
        assert hearing.heard() == written(member, version), (member, version)
        assert hearing.stored() == (set(written(member, version)) if retain else set()), (member, version)
        count["retained" if retain else "published"] += len(ROWS)


@pytest.mark.slow
def test_a_will_is_written_as_its_member_may_write(proof: Proof, hearing: Hearing, count: Counter[str]) -> None:
    for member, version in everybody():
        for row in ROWS:
            try:
                proof.member(member, version, will=(row.topic, token(member, version, row.topic), True)).drop()
            except RefusedError:  # newer ones do not even let in who leaves such a will
                assert row.topic.startswith("$")
        with proof.member(member, version) as last:  # the broker has then let go of the one before
            last.ping()
        assert sorted(hearing.heard()) == sorted(written(member, version)), (member, version)
        assert hearing.stored() == set(written(member, version))
        count["wills"] += len(ROWS)


EXACT = tuple(row.topic for row in OURS)
SUBSCRIPTIONS = {
    "everything": ("#",),
    "everything below one level": ("+/#",),
    "the cell": (f"{HOME}#",),
    "each topic by name": EXACT,
    "shared with nobody": ("$share/group/#",),
    "shared, each by name": tuple(f"$share/group/{topic}" for topic in EXACT),
}


@pytest.mark.parametrize("filters", SUBSCRIPTIONS.values(), ids=SUBSCRIPTIONS)
def test_only_what_is_granted_is_read(proof: Proof, count: Counter[str], filters: tuple[str, ...]) -> None:
    with proof.witness() as speaker:
        for member, version in everybody():
            with proof.member(member, version) as client:
                client.subscribe(*filters)
                assert client.drain() == []
                for row in OURS:
                    speaker.publish(row.topic, token(row.topic))
                taken = {topic for row in OURS if matches_one(filters, topic := row.topic)}
                wanted = [row.topic for row in OURS if row.topic in taken and may_read(member, row)]
                assert [one.topic for one in client.drain()] == wanted, (member, version)
                count["subscribed"] += len(OURS)


def matches_one(filters: tuple[str, ...], topic: str) -> bool:
    plain = {one.removeprefix("$share/group/") for one in filters}
    return bool(plain & {"#", "+/#", topic}) or (f"{HOME}#" in plain and f"{topic}/".startswith(HOME))


@pytest.mark.parametrize("filters", [("#",), EXACT], ids=["everything", "each topic by name"])
def test_only_what_is_granted_is_read_of_what_is_stored(
    proof: Proof, count: Counter[str], filters: tuple[str, ...]
) -> None:
    with proof.witness() as speaker:
        for row in OURS:
            speaker.publish(row.topic, token(row.topic), retain=True)
        for member, version in everybody():
            with proof.member(member, version) as client:
                client.subscribe(*filters)
                found = client.drain()
                assert {one.topic for one in found} == {row.topic for row in OURS if may_read(member, row)}
                assert all(one.retained for one in found)
                count["stored and read"] += len(OURS)
        for row in OURS:
            speaker.publish(row.topic, b"", retain=True)


def test_the_broker_s_own_figures_are_for_the_hub_and_for_people(proof: Proof, count: Counter[str]) -> None:
    for member, version in everybody():
        with proof.member(member, version) as client:
            client.subscribe("$SYS/broker/version", "$SYS/#", "$CONTROL/#")
            topics = {one.topic for one in client.drain()}
            assert ("$SYS/broker/version" in topics) == (member in PEOPLE.split()), (member, version)
            assert bool(topics) == (member in PEOPLE.split())
            count["$SYS"] += 1


@pytest.mark.parametrize("topic", ["#", "+", f"{HOME}#", f"{HOME}node/+/state", f"{HOME}node/kitchen/#", ""])
def test_nobody_publishes_on_a_wildcard(proof: Proof, hearing: Hearing, count: Counter[str], topic: str) -> None:
    for member, version in everybody():
        with proof.member(member, version) as client:
            client.send(topic, b"to all")
            with pytest.raises(GoneError):
                client.ping()
        assert hearing.heard() == []
        count["wildcards"] += 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("claimed", ["kitchen", "hub", "becomingone.home.hub", "becomingone.home.node.kitchen"])
def test_a_client_identifier_takes_nobody_s_session(proof: Proof, version: int, claimed: str) -> None:
    with (
        proof.member("kitchen", version, client_id="becomingone.home.node.kitchen") as kitchen,
        proof.member("hub", version, client_id="becomingone.home.hub") as hub,
    ):
        kitchen.subscribe(f"{HOME}node/kitchen/cmd/+")
        with proof.member("desk", version, client_id=claimed) as thief:
            thief.subscribe("#")
            assert hub.publish(f"{HOME}node/kitchen/cmd/restart", b"do") == 0
            assert [one.payload for one in kitchen.drain()] == [b"do"]
            hub.ping()
            assert thief.drain() == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_member_that_comes_twice_takes_its_own_place(proof: Proof, version: int) -> None:
    first = proof.member("kitchen", version, client_id="one")
    with first, proof.member("kitchen", version, client_id="two"), pytest.raises(GoneError):
        first.ping()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("claimed", ["hub", "kitchen", "operator:anna", "witness", "#", "+", ""])
def test_a_user_name_in_the_packet_counts_for_nothing(
    proof: Proof, hearing: Hearing, count: Counter[str], version: int, claimed: str
) -> None:
    with proof.member("desk", version, username=claimed, password="whatever") as client:
        publish_everything(client, "desk", version, retain=False)
    assert hearing.heard() == written("desk", version)
    count["spoofed"] += len(ROWS)


def test_who_has_no_certificate_of_this_authority_stays_outside(proof: Proof, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "another authority").client("hub")
    expired = proof.authority.client("hub", since_days=10, for_days=1)
    future = proof.authority.client("hub", since_days=-10, for_days=20)
    for version in VERSIONS:
        for identity in (None, other, expired, future):
            with pytest.raises(RefusedError):
                RawClient(proof.port, version=version, tls=proof.context(identity), username="hub", password="x")
        with pytest.raises(RefusedError):  # nor who speaks no TLS
            RawClient(proof.port, version=version, username="hub")
        with proof.member("hub", version) as hub:  # and the door still opens
            hub.ping()


@pytest.mark.parametrize("name", ["kitchen+", "+", "#", "kitchen/#", "Kitchen", "kitchen ", "hub:x", "operator.wall"])
def test_names_that_look_like_others_have_no_rights(
    proof: Proof, hearing: Hearing, count: Counter[str], name: str
) -> None:
    identity = proof.authority.client(name)
    for version in VERSIONS:
        with RawClient(proof.port, version=version, tls=proof.context(identity)) as client:
            publish_everything(client, "nobody", retain=False)
            client.subscribe("#", "$SYS/#", f"{HOME}#")
            assert client.drain() == []
        assert hearing.heard() == []
        count["look-alikes"] += len(ROWS)
