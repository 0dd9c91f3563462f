"""How a broker's address and identity are configured, and what is said of mistakes."""

import pytest
from pydantic import SecretStr, ValidationError

from becomingone.broker.settings import BrokerSettings
from becomingone.config.loader import ConfigProblems, load
from becomingone.node.config import NodeConfig

NODE = "node: kitchen\ncell: home\nhardware: pi_4\nbroker:\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker.local", ("broker.local", 1883, False, False)),
        ("mqtt://broker.local:1884/", ("broker.local", 1884, False, False)),
        ("mqtts://broker.local", ("broker.local", 8883, True, False)),
        ("mqtts://[2001:db8::1]:9000", ("2001:db8::1", 9000, True, False)),
        ("ws://10.0.0.2", ("10.0.0.2", 80, False, True)),
        ("wss://broker.example.org/a/b", ("broker.example.org", 443, True, True)),
    ],
)
def test_an_url_says_where_and_how(url, expected):
    settings = BrokerSettings(url=url)
    assert (settings.host, settings.port, settings.tls, settings.websocket) == expected


def test_a_websocket_has_a_path():
    assert BrokerSettings(url="ws://broker").path == "/mqtt"
    assert BrokerSettings(url="ws://broker/").path == "/mqtt"
    assert BrokerSettings(url="wss://broker:8443/bus/mqtt").path == "/bus/mqtt"


def test_messages_name_an_address_as_people_write_it():
    assert BrokerSettings(url="mqtt://10.0.0.2").address == "10.0.0.2:1883"
    assert BrokerSettings(url="mqtts://[::1]").address == "[::1]:8883"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker",
        "broker:1883",
        "http://broker",
        "mqtt://",
        "mqtt:///path",
        "mqtt://broker:0",
        "mqtt://broker:65536",
        "mqtt://broker:port",
        "mqtt://[::1",
        "mqtt://bro ker",
        "ws://broker/mqtt?token=1",
        "ws://broker/mqtt#there",
        "ws://broker/a\r\nX: y",
    ],
)
def test_a_bad_url_is_refused_with_all_good_forms(url):
    with pytest.raises(ValidationError, match=r"must be mqtt://host, mqtts://host, ws://host/path or wss://host/path"):
        BrokerSettings(url=url)


def test_what_an_url_must_not_hold_is_named():
    with pytest.raises(ValidationError, match="must not hold a user name or password"):
        BrokerSettings(url="mqtt://me:secret@broker")
    with pytest.raises(ValidationError, match=r"must have no path; only ws:// and wss:// have one"):
        BrokerSettings(url="mqtt://broker/mqtt")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ("  url: mqtts://b\n  certificate: /a.crt\n", "broker.certificate: needs the key that belongs to it"),
        ("  url: mqtts://b\n  key: /a.key\n", "broker.key: needs the certificate that belongs to it"),
        ("  url: mqtt://b\n  ca: /ca.crt\n", "broker.ca: is used with TLS only; the url must begin with mqtts://"),
        ("  url: ws://b\n  certificate: /a\n  key: /b\n", "broker.certificate: is used with TLS only"),
        ("  password: x\n", "broker.password: a password needs a username"),
        ("  protocol: 4\n", "broker.protocol: must be 'auto', '5' or '3.1.1'"),
        ("  keepalive_s: 0\n", "broker.keepalive_s: must be at least 1"),
    ],
)
def test_a_mistake_is_told_with_its_field(tmp_path, fields, line):
    path = tmp_path / "node.yaml"
    path.write_text(NODE + fields)
    with pytest.raises(ConfigProblems) as caught:
        load(NodeConfig, path, environ={})
    assert line in str(caught.value).replace("(got", "\n(got")


def test_the_version_may_be_written_as_a_number(tmp_path):
    path = tmp_path / "node.yaml"
    for text, version in (("5", "5"), ("3.1.1", "3.1.1"), ("auto", "auto")):
        path.write_text(f"{NODE}  protocol: {text}\n")
        assert load(NodeConfig, path, environ={}).broker.protocol == version


def test_a_password_by_reference_is_never_shown(tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text(NODE + "  username: kitchen\n  password: !secret mqtt\n")
    broker = load(NodeConfig, path, environ={"BECOMINGONE_SECRET_MQTT": "hush"}).broker
    assert broker.password == SecretStr("hush")
    assert "hush" not in repr(broker)
