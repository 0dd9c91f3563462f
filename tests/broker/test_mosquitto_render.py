"""Mosquitto's configuration as we write it: compared with files that were read and approved, and started for real."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto.program import Mosquitto
from becomingone.broker.mosquitto.render import Files, configuration
from becomingone.errors import ConfigError

from .authority import Authority
from .raw_mqtt import GoneError, RawClient
from .standing import Standing, free, installed, program

APPROVED = Path(__file__).parent / "mosquitto_conf"
FILES = Files(Path("/var/lib/becomingone/home/broker"))
OLD = Mosquitto(Path("/usr/sbin/mosquitto"), (2, 0, 11))
NEW = Mosquitto(
    Path("/usr/sbin/mosquitto"), (2, 1, 2), Path("/usr/lib/x86_64-linux-gnu/mosquitto/mosquitto_persist_sqlite.so")
)
TLS = {"certificate": "/etc/b/broker.crt", "key": "/etc/b/broker.key", "ca": "/etc/b/ca.crt"}
PASSWORDS = {"hub": "correct horse battery", "operator:anna": "staple and more of it"}
IDENTITIES = {"nodes": ["kitchen"], "operators": ["anna"]}
BRIDGE = {
    "parent": "house", "url": "mqtts://house.example:8884", "ca": "/etc/b/house.crt", "certificate": "/etc/b/relay.crt",
    "key": "/etc/b/relay.key",
}  # fmt: skip
CASES = {
    "loopback": {},
    "certificates": {"listeners": [{"address": "0.0.0.0", "port": 8883, "tls": True}], "tls": TLS},
    "everything": {
        "listeners": [
            {"port": 1883, "login": "anonymous"},
            {"address": "::", "port": 8883, "tls": True},
            {"address": "0.0.0.0", "port": 8884, "tls": True, "login": "password"},
            {"address": "0.0.0.0", "port": 8443, "tls": True, "transport": "websockets"},
        ],
        "tls": {**TLS, "revoked": "/etc/b/revoked.pem", "version": "1.3"},
        "identities": IDENTITIES,
        "passwords": PASSWORDS,
        "persistence": {"every_s": 0},
        "bridges": [BRIDGE],
        "limits": {"packet_bytes": 4096, "connections": 7, "keepalive_s": 30, "session_days": 2},
        "sys_interval_s": 5,
    },
}


def rendered(case: str, mosquitto: Mosquitto) -> str:
    return configuration(BrokerConfig.model_validate(CASES[case]), mosquitto, FILES)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mosquitto", [OLD, NEW], ids=["2.0", "2.1"])
def test_the_configuration_is_the_approved_one(case: str, mosquitto: Mosquitto) -> None:
    major, minor, _ = mosquitto.version
    approved = APPROVED / f"{case}-{major}.{minor}.conf"
    assert rendered(case, mosquitto) == approved.read_text()


@pytest.mark.parametrize("mosquitto", [OLD, NEW], ids=["2.0", "2.1"])
def test_what_protects_the_mesh_is_there(mosquitto: Mosquitto) -> None:
    lines = rendered("certificates", mosquitto).splitlines()
    for line in (
        "allow_anonymous false",
        "acl_file /var/lib/becomingone/home/broker/access",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        "max_packet_size 1114112",
        "max_keepalive 120",
        "tls_version tlsv1.2",
        "set_tcp_nodelay true",
    ):
        assert lines.count(line) == 1, line
    assert not any(line.startswith(("message_size_limit", "clientid_prefixes", "allow_duplicate")) for line in lines)


def test_each_version_keeps_what_it_holds_in_its_own_way() -> None:
    old, new = rendered("certificates", OLD).splitlines(), rendered("certificates", NEW).splitlines()
    assert {"persistence true", "autosave_on_changes false", "autosave_interval 60"} <= set(old)
    assert "plugin_opt_flush_period 60" in new
    assert not any(line.startswith(("persistence true", "autosave")) for line in new)
    without = configuration(BrokerConfig(), Mosquitto(NEW.program, (2, 1, 2)), FILES).splitlines()
    assert "autosave_interval 60" in without  # 2.1 without the plugin


def test_a_path_cannot_smuggle_in_a_line() -> None:
    config = BrokerConfig.model_validate({"state_dir": "/var/lib/x\nallow_anonymous true"})
    with pytest.raises(ConfigError, match="cannot stand in Mosquitto's configuration"):
        configuration(config, OLD, Files(config.folder))


LISTENERS = {
    "anonymous": [{}],
    "password": [{"login": "password"}],
    "IPv6": [{"address": "::1"}],
    "certificate": [{"tls": True}],
    "password over TLS": [{"tls": True, "login": "password"}, {}],
    "WebSocket with password": [{"transport": "websockets"}, {}],
    "WebSocket with certificate": [{"transport": "websockets", "tls": True, "login": "certificate"}, {"tls": True}],
    "all": [
        {"login": "anonymous"}, {"login": "password"}, {"tls": True}, {"tls": True, "login": "password"},
        {"tls": True, "transport": "websockets"},
    ],
}  # fmt: skip
PERSISTENCE = {"none": {"enabled": False}, "each change": {"every_s": 0}, "intervals": {"every_s": 5}}


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def section(listeners: list[dict], folder: Path, authority: Authority, **more) -> BrokerConfig:
    """A configuration for real ports and certificates, with passwords where they are needed."""
    server = authority.server()
    wanted = {
        "listeners": [{**one, "port": free()} for one in listeners],
        "tls": {"certificate": server.certificate, "key": server.key, "ca": authority.ca},
        "state_dir": folder / "broker",
        **more,
    }
    if any(one.get("login") == "password" or "transport" in one for one in listeners):
        wanted |= {"identities": IDENTITIES}
        if not all(one.get("tls") for one in listeners):
            wanted |= {"passwords": PASSWORDS}
    return BrokerConfig.model_validate(wanted)


@pytest.mark.parametrize("mosquitto", installed())
@pytest.mark.parametrize("persistence", PERSISTENCE.values(), ids=PERSISTENCE)
@pytest.mark.parametrize("listeners", LISTENERS.values(), ids=LISTENERS)
def test_every_combination_starts(
    mosquitto: Path | None, listeners: list[dict], persistence: dict, authority: Authority, tmp_path: Path
) -> None:
    relay = authority.client("relay:home")
    bridge = {
        "parent": "house", "url": f"mqtts://127.0.0.1:{free()}", "ca": authority.ca, "certificate": relay.certificate,
        "key": relay.key,
    }  # fmt: skip
    bridges = [bridge] if "tls" in listeners[0] else []
    config = section(listeners, tmp_path, authority, persistence=persistence, bridges=bridges)
    found = program(mosquitto)
    with Standing(config, found) as broker:
        refusals = [line for line in broker.lines[: broker.started] if "rror" in line]
        assert refusals == []
        if config.login_of(config.listeners[0]) == "anonymous" and config.listeners[0].address == "127.0.0.1":
            with RawClient(config.listeners[0].port) as client:
                client.subscribe("#")
                assert client.publish("anything", b"!") == 0
                assert [one.payload for one in client.drain()] == [b"!"]
    if found.is_2_1:
        tested = subprocess.run(
            [found.program, "--test-config", "-c", config.state_dir / "mosquitto.conf"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert tested.returncode == 0, tested.stderr


@pytest.mark.parametrize("mosquitto", installed())
def test_what_is_too_large_ends_its_sender(mosquitto: Path | None, tmp_path: Path) -> None:
    """And is not acknowledged and dropped, as ``message_size_limit`` would have it."""
    config = BrokerConfig.model_validate(
        {"listeners": [{"port": free()}], "limits": {"packet_bytes": 2048}, "state_dir": tmp_path / "broker"}
    )
    with Standing(config, program(mosquitto)), RawClient(config.listeners[0].port) as client:
        assert client.publish("fits", bytes(2000)) == 0
        client.send("too/large", bytes(2048))
        with pytest.raises(GoneError):
            client.ping()
        assert len(client.acks) == 1
