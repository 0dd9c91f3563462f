"""Who gets into a real Mosquitto by which door, and with which rights."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from becomingone.broker.access import access_list
from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto.program import Mosquitto
from becomingone.broker.mosquitto.render import Files, configuration
from becomingone.errors import ConfigError
from becomingone.wire.topics import Topics

from .authority import Authority, Identity
from .raw_mqtt import RawClient, RefusedError
from .standing import Standing, free, installed, program

HOME = "becomingone/home/"
HUB, ANNA = "a password for the hub", "another one for anna"
WITNESS = "\nuser witness\ntopic readwrite #\n"
TOPICS = Topics("becomingone", "home")


class House(NamedTuple):
    """A broker with every kind of door."""

    mosquitto: Mosquitto
    authority: Authority
    anonymous: int
    password: int
    certificate: int
    websocket: int

    def context(self, identity: Identity | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context

    def member(self, name: str, version: int = 4) -> RawClient:
        identity = self.authority.client(name)
        return RawClient(self.certificate, version=version, tls=self.context(identity))


@pytest.fixture(scope="module", params=installed())
def house(request, tmp_path_factory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("logins")
    authority = Authority(folder / "ca")
    broker = authority.server()
    ports = [free() for _ in range(4)]
    found = program(request.param)
    config = BrokerConfig.model_validate(
        {
            "listeners": [
                {"port": ports[0], "login": "anonymous"},
                {"port": ports[1]},
                {"port": ports[2], "tls": True},
                {"port": ports[3], "tls": True, "transport": "websockets"},
            ],
            "tls": {
                "certificate": broker.certificate, "key": broker.key, "ca": authority.ca,
                "revoked": revoke(authority, folder, "traitor"),
            },
            "identities": {"nodes": ["kitchen"], "operators": ["anna"]},
            "passwords": {"hub": HUB, "operator:anna": ANNA},
            "persistence": {"enabled": False},
            "state_dir": folder / "broker",
        }
    )  # fmt: skip
    patterns = access_list([], TOPICS, any_node=True)  # put there by hand: 2.0 is not asked for them, see below
    with Standing(config, found, more_access=WITNESS + patterns):
        yield House(found, authority, *ports)


def revoke(authority: Authority, folder: Path, name: str) -> Path:
    """Make a revocation list that holds one certificate."""
    issued = x509.load_pem_x509_certificate(authority.client(name).certificate.read_bytes())
    now = datetime.datetime.now(datetime.UTC)
    entry = x509.RevokedCertificateBuilder().serial_number(issued.serial_number).revocation_date(now).build()
    revoked = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority._name)
        .last_update(now - datetime.timedelta(minutes=5))
        .next_update(now + datetime.timedelta(days=7))
        .add_revoked_certificate(entry)
        .sign(authority._key, hashes.SHA256())
    )
    path = folder / "revoked.pem"
    path.write_bytes(revoked.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("version", [4, 5])
def test_a_password_opens_the_door_to_its_owner_s_rights(house: House, version: int) -> None:
    with (
        RawClient(house.password, version=version, username="hub", password=HUB) as hub,
        RawClient(house.password, version=version, username="operator.anna", password=ANNA) as anna,
    ):
        anna.subscribe("#")
        assert hub.publish(f"{HOME}snapshot", b"{}") == 0
        hub.publish(f"{HOME}request/kitchen/light", b"no")  # which is for operators
        assert [one.topic for one in anna.drain()] == [f"{HOME}snapshot"]
        anna.publish(f"{HOME}request/kitchen/light", b"please")
        anna.publish(f"{HOME}snapshot", b"forged")
        assert [one.payload for one in anna.drain()] == [b"please"]


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("hub", ANNA),
        ("hub", ""),
        ("hub", None),
        ("operator:anna", ANNA),  # a colon ends a name in Mosquitto's file
        ("anna", ANNA),
        ("kitchen", HUB),
        ("", HUB),
        (None, None),
        ("#", "x"),
    ],
)
def test_a_wrong_name_or_password_stays_outside(house: House, username: str | None, password: str | None) -> None:
    for version in (4, 5):
        with pytest.raises(RefusedError):
            RawClient(house.password, version=version, username=username, password=password)


def test_a_wrong_password_does_not_end_the_session_of_who_has_the_right_one(house: House) -> None:
    with RawClient(house.password, client_id="hub", username="hub", password=HUB) as hub:
        for name in ("hub", "x"):
            with pytest.raises(RefusedError):
                RawClient(house.password, client_id="hub", username=name, password="wrong")
        hub.ping()


def test_a_client_identifier_takes_nobody_s_session_here_either(house: House) -> None:
    with (
        RawClient(house.password, client_id="hub", username="hub", password=HUB) as hub,
        RawClient(house.password, client_id="hub", username="operator.anna", password=ANNA) as anna,
    ):
        hub.ping()
        anna.ping()


def test_who_is_on_this_machine_may_do_everything_at_the_door_without_a_name(house: House) -> None:
    with RawClient(house.anonymous) as anybody, house.member("witness") as witness:
        anybody.subscribe("#")
        witness.subscribe("#")
        anybody.publish("any/topic/at/all", b"1")
        assert [one.payload for one in witness.drain()] == [b"1"]
        witness.publish("another", b"2")
        assert [one.payload for one in anybody.drain()] == [b"1", b"2"]
    for port in (house.password, house.certificate):
        with pytest.raises(RefusedError):
            RawClient(port, tls=house.context() if port == house.certificate else None)


@pytest.mark.parametrize("version", [4, 5])
def test_whoever_the_authority_has_signed_is_the_node_that_the_certificate_names(house: House, version: int) -> None:
    with house.member("witness") as witness, house.member("attic", version) as attic:
        witness.subscribe("#")
        for topic in (
            "node/attic/state",
            "node/attic/output/x/set",
            "node/kitchen/state",
            "hub/state",
            "clock/ping/attic",
        ):
            attic.publish(f"{HOME}{topic}", b"!")
        assert [one.topic for one in witness.drain()] == [f"{HOME}node/attic/state", f"{HOME}clock/ping/attic"]
        attic.subscribe("#")
        for topic in ("node/attic/cmd/restart", "node/kitchen/cmd/restart", "sync/stride", "snapshot", "ack/attic"):
            witness.publish(f"{HOME}{topic}", b"!")
        heard = [one.topic.removeprefix(HOME) for one in attic.drain()]
        assert heard == ["node/attic/cmd/restart", "sync/stride", "ack/attic"]


@pytest.mark.parametrize("name", ["+", "#", "kitchen/#", "%u", "kitchen+"])
def test_a_certificate_with_a_wildcard_for_a_name_reaches_nobody_else(house: House, name: str) -> None:
    for version in (4, 5):
        with house.member("witness") as witness, house.member(name, version) as strange:
            witness.subscribe("#")
            for topic in ("node/kitchen/state", "node/hub/state", "node/kitchen/output/light/state", "hub/state"):
                strange.publish(f"{HOME}{topic}", b"!")
            assert witness.drain() == []
            strange.subscribe("#")
            witness.publish(f"{HOME}node/kitchen/cmd/restart", b"!")
            assert strange.drain() == []


def test_a_slash_in_a_name_is_why_patterns_are_left_to_2_1(house: House) -> None:
    with house.member("witness") as witness, house.member("kitchen/output/light") as strange:
        witness.subscribe("#")
        strange.publish(f"{HOME}node/kitchen/output/light/state", b"!")
        assert bool(witness.drain()) == (not house.mosquitto.is_2_1)
    config = BrokerConfig.model_validate(
        {"identities": {"nodes": "any"}, "kind": "mosquitto", "passwords": {"hub": HUB}}
    )
    if house.mosquitto.is_2_1:
        assert "acl_file" in configuration(config, house.mosquitto, Files(Path("/x")))
    else:
        with pytest.raises(ConfigError, match=r"identities.nodes: any takes Mosquitto 2.1"):
            configuration(config, house.mosquitto, Files(Path("/x")))


def test_a_revoked_certificate_stays_outside(house: House) -> None:
    traitor = Identity(house.authority.ca.with_name("traitor.crt"), house.authority.ca.with_name("traitor.key"))
    with pytest.raises(RefusedError):
        RawClient(house.certificate, tls=house.context(traitor))
    with house.member("attic") as other:
        other.ping()


def test_a_browser_s_way_in_takes_a_password(house: House) -> None:
    def try_in(username: str | None, password: str | None) -> str:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets")
        client.tls_set_context(house.context())
        client.username_pw_set(username, password)
        said: list[str] = []
        client.on_connect = lambda *arguments: said.append(str(arguments[3]))
        client.connect("127.0.0.1", house.websocket)
        for _ in range(200):
            if client.loop(0.05) or said:
                break
        client.disconnect()
        client.loop(0.05)
        return said[0]

    assert try_in("operator.anna", ANNA) == "Success"
    assert try_in("operator.anna", HUB) == "Not authorized"
    assert try_in(None, None) == "Not authorized"


def test_a_client_of_mqtt_5_is_told_the_limits(house: House) -> None:
    with RawClient(house.anonymous, version=5, keepalive=3600) as client:
        assert b"\x13" + (120).to_bytes(2, "big") in client.answer  # server keep alive, 3.2.2.3.14
        assert b"\x27" + (1_114_112).to_bytes(4, "big") in client.answer  # maximum packet size, 3.2.2.3.6
        assert b"\x21" + (100).to_bytes(2, "big") in client.answer  # receive maximum, 3.2.2.3.3
