"""``broker.yaml``: what may stand in one, and what is said of one that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from becomingone.broker.config import BrokerConfig
from becomingone.cli import main

PASSWORD = "a password that is long"
TLS = {"certificate": "c", "key": "k", "ca": "a"}
BRIDGE = {"parent": "house", "url": "mqtts://h", "ca": "a", "certificate": "c", "key": "k"}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MQTT_HUB", "MQTT_HOME_ASSISTANT"):
        monkeypatch.setenv(f"BECOMINGONE_SECRET_{name}", f"{PASSWORD} {name}")


def test_the_example_is_without_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str], secrets: None) -> None:
    assert main(["config", "example", "broker"]) == 0
    path = tmp_path / "broker.yaml"
    path.write_text(capsys.readouterr().out)
    assert main(["config", "check", str(path)]) == 0
    assert "a broker configuration without a fault" in capsys.readouterr().out
    assert main(["config", "check", "--as", "broker", str(path)]) == 0


def test_the_example_shows_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    main(["config", "schema", "broker"])
    schema = json.loads(capsys.readouterr().out)
    main(["config", "example", "broker"])
    text = capsys.readouterr().out
    fields = set(schema["properties"])
    for section in schema["$defs"].values():
        fields |= set(section.get("properties", ()))
    assert {field for field in fields if f"{field}:" not in text} <= {"root"}


def test_the_example_s_defaults_are_the_program_s() -> None:
    text = (Path(__file__).parents[2] / "src/becomingone/config/examples/broker.yaml").read_text()
    shown = yaml.safe_load(text.replace("!secret", ""))
    defaults = BrokerConfig()
    for section in ("limits", "persistence"):
        assert shown[section] == getattr(defaults, section).model_dump()
    for field in ("cell", "kind", "discovery", "sys_interval_s"):
        assert shown[field] == getattr(defaults, field)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"listeners": [{"port": 1884}]}, "broker"),
        ({"kind": "mosquitto"}, "broker"),
        ({"cell": "home", "passwords": {}}, "broker"),
        ({"node": "kitchen", "tls": {}}, "node"),
        ({"tick_hz": 10}, "hub"),
    ],
)
def test_a_file_is_told_apart_by_its_fields(
    fields: dict, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump(fields))
    main(["config", "check", str(path)])
    told = capsys.readouterr()
    if kind == "node" and "tls" in fields:
        assert "unknown field" in told.err
    else:
        assert f"a {kind} configuration" in told.out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"listeners": [{"address": "0.0.0.0"}]}, "listeners[0].tls: must be true beyond loopback, and 0.0.0.0 is"),
        ({"listeners": [{"address": "localhost"}]}, "listeners[0].address: must be an IP address of this machine"),
        ({"listeners": [{"tls": True}]}, "listeners[0].tls: needs the section tls, with certificate and key"),
        (
            {"listeners": [{"tls": True}], "tls": {"certificate": "c", "key": "k"}},
            "listeners[0].login: a certificate needs tls: true, and tls.ca",
        ),
        ({"listeners": [{"login": "certificate"}]}, "listeners[0].login: a certificate needs tls: true"),
        ({"listeners": [{"login": "password"}]}, "listeners[0].login: must not be password where nobody has one"),
        ({"listeners": [{"transport": "websockets"}]}, "listeners[0].login: must not be password where nobody has one"),
        (
            {"listeners": [{"transport": "websockets", "login": "anonymous"}]},
            "listeners[0].login: must not be anonymous, for any page",
        ),
        (
            {"listeners": [{"address": "::", "tls": True, "login": "anonymous"}], "tls": TLS},
            "listeners[0].login: must not be anonymous beyond loopback",
        ),
        ({"listeners": [{"port": 1}, {"port": 1}]}, "listeners[1].port: two listeners are on 127.0.0.1:1"),
        ({"listeners": []}, "listeners: must have at least 1 item"),
        ({"listeners": [{"port": 65_536}]}, "listeners[0].port: must be at most 65535"),
        ({"identities": {"nodes": ["hub"]}}, "identities.nodes: must not name a node hub"),
        ({"identities": {"nodes": ["a b"]}}, "identities.nodes[0]: must match the pattern"),
        ({"identities": {"observers": ["#"]}}, "identities.observers[0]: must match the pattern"),
        ({"passwords": {"hub": "short"}}, "passwords.hub: must have at least 12 characters"),
        ({"passwords": {"kitchen": PASSWORD}}, "passwords.kitchen: identities names nobody of that name"),
        ({"passwords": {"a:b:c": PASSWORD}}, "passwords['a:b:c']: must match the pattern"),
        ({"passwords": {"hub": PASSWORD}, "password_file": "x"}, "password_file: must be left out"),
        (
            {"password_file": "x", "listeners": [{"tls": True}], "tls": TLS},
            "password_file: no listener has login: password",
        ),
        ({"bridges": [{**BRIDGE, "parent": "home"}]}, "bridges[0].parent: must be another cell, each once"),
        ({"bridges": [BRIDGE, BRIDGE]}, "bridges[1].parent: must be another cell, each once"),
        ({"bridges": [{**BRIDGE, "url": "mqtt://h"}]}, "bridges[0].url: must be mqtts://host"),
        ({"bridges": [{**BRIDGE, "url": "mqtts://h:0"}]}, "bridges[0].url: must be mqtts://host"),
        ({"bridges": [{**BRIDGE, "url": "mqtts://h x"}]}, "bridges[0].url: must be mqtts://host"),
        ({"kind": "embedded", "bridges": [BRIDGE]}, "bridges: the embedded broker has not got this"),
        (
            {"kind": "embedded", "identities": {"nodes": ["a"]}, "passwords": {"hub": PASSWORD}},
            "the embedded broker has not got this (clients are to prove who they are): use kind: mosquitto",
        ),
        ({"limits": {"keepalive_s": 5}}, "limits.keepalive_s: must be at least 10"),
        ({"limits": {"message_size_limit": 5}}, "limits.message_size_limit: unknown field"),
        ({"tls": {**TLS, "version": "1.1"}}, "tls.version: must be '1.2' or '1.3'"),
    ],
)
def test_a_fault_is_told_with_its_field(
    content: dict, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broker.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["config", "check", "--as", "broker", str(path)]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert f"{path}:" in told
    assert PASSWORD not in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("content", "logins"),
    [
        ({}, ["anonymous"]),
        ({"listeners": [{"address": "::1"}]}, ["anonymous"]),
        ({"passwords": {"hub": PASSWORD}}, ["password"]),
        ({"listeners": [{}, {"port": 1, "tls": True}], "tls": TLS, "identities": {"nodes": ["a"]},
          "passwords": {"hub": PASSWORD}}, ["password", "certificate"]),
        ({"listeners": [{"login": "anonymous"}, {"address": "::", "tls": True}], "tls": TLS},
         ["anonymous", "certificate"]),
        ({"listeners": [{"tls": True, "transport": "websockets"}], "tls": TLS, "password_file": "x"}, ["password"]),
    ],
)  # fmt: skip
def test_each_listener_has_a_safe_way_in_unless_told_otherwise(content: dict, logins: list[str]) -> None:
    config = BrokerConfig.model_validate(content)
    assert [config.login_of(listener) for listener in config.listeners] == logins


@pytest.mark.parametrize(
    ("content", "first"),
    [
        ({}, None),
        ({"listeners": [{"address": "::1", "port": 7}]}, None),
        ({"listeners": [{}, {"port": 1}]}, "listeners: there is more than one"),
        ({"listeners": [{"address": "0.0.0.0", "tls": True}], "tls": TLS}, "0.0.0.0 is beyond loopback"),
        ({"listeners": [{"tls": True}], "tls": TLS}, "mqtts is more than plain MQTT"),
        ({"passwords": {"hub": PASSWORD}}, "clients are to prove who they are"),
        ({"bridges": [BRIDGE]}, "bridges: there are some"),
    ],
)
def test_what_the_embedded_broker_has_not_is_known(content: dict, first: str | None) -> None:
    beyond = BrokerConfig.model_validate(content).beyond_embedded
    assert (beyond is None) == (first is None)
    assert first is None or first in (beyond or "")


@pytest.mark.parametrize(
    ("listener", "url"),
    [
        ({}, "mqtt://127.0.0.1:1883"),
        ({"address": "::1"}, "mqtt://[::1]:1883"),
        ({"address": "0.0.0.0", "tls": True, "port": 8883}, "mqtts://0.0.0.0:8883"),
        ({"transport": "websockets", "tls": True, "port": 8443, "login": "password"}, "wss://127.0.0.1:8443"),
    ],
)
def test_a_listener_s_url(listener: dict, url: str) -> None:
    config = BrokerConfig.model_validate({"listeners": [listener], "tls": TLS, "password_file": "x"}
                                         if "login" in listener else {"listeners": [listener], "tls": TLS})  # fmt: skip
    assert config.listeners[0].url == url
