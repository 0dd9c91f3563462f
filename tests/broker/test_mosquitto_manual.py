"""What docs/brokers.md tells people to type is run here, and its certificates are tried on a real Mosquitto."""

from __future__ import annotations

import re
import ssl
import subprocess
from pathlib import Path

import pytest

from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto.files import check_certificates
from becomingone.errors import ConfigError

from .raw_mqtt import RawClient, RefusedError
from .standing import Standing, free, program

PAGE = (Path(__file__).parents[2] / "docs" / "brokers.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where somebody has followed the manual."""
    lines = next(block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "openssl" in block)
    folder = tmp_path_factory.mktemp("manual")
    done = subprocess.run(["sh", "-eu", "-c", lines], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def config(folder: Path) -> BrokerConfig:
    return BrokerConfig.model_validate(
        {
            "listeners": [{"port": free(), "tls": True}],
            "tls": {"certificate": folder / "broker.crt", "key": folder / "broker.key", "ca": folder / "ca.crt"},
            "identities": {"nodes": ["kitchen"], "operators": ["anna"]},
            "persistence": {"enabled": False},
            "state_dir": folder / "state",
        }
    )


def test_the_files_are_taken(folder: Path) -> None:
    check_certificates(config(folder))
    assert not any(path.stat().st_mode & 0o077 for path in folder.glob("*.key"))


@pytest.mark.mosquitto
def test_the_manual_s_certificates_open_the_door(folder: Path) -> None:
    wanted = config(folder)
    with Standing(wanted, program(None)):
        for name, topic, refused in (
            ("kitchen", "becomingone/home/node/kitchen/state", False),
            ("operator:anna", "becomingone/home/request/kitchen/light", False),
            ("operator:anna", "becomingone/home/snapshot", True),
            ("hub", "becomingone/home/snapshot", False),
        ):
            context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
            context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
            with RawClient(wanted.listeners[0].port, version=5, tls=context) as client:
                assert (client.publish(topic, b"!") == 0x87) == refused
        broker = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        broker.load_cert_chain(folder / "broker.crt", folder / "broker.key")
        with pytest.raises(RefusedError):  # the broker's own certificate is for serving only
            RawClient(wanted.listeners[0].port, tls=broker)


def test_every_limit_in_the_table_is_the_program_s() -> None:
    limits = BrokerConfig().limits
    table = PAGE.partition("## Limits")[2].partition("##")[0]
    for value in (limits.packet_bytes, limits.connections, limits.keepalive_s, limits.in_flight, limits.queued):
        assert re.search(rf"\| {value:,}\b", table), value
    assert f"{limits.memory_bytes >> 20} MiB" in table
    assert f"{limits.session_days} days" in table


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "broker.key").chmod(0o604), r"tls.key: .* can be read by everybody .*: chmod o= "),
        (lambda folder: (folder / "broker.key").write_bytes((folder / "hub.key").read_bytes()), "is not the key of"),
        (lambda folder: (folder / "broker.key").write_text("no key"), "holds no private key in PEM form"),
        (lambda folder: (folder / "broker.crt").write_text("nothing"), r"tls.certificate: .* in PEM form"),
        (lambda folder: (folder / "ca.crt").unlink(), r"tls.ca: .* cannot be read: No such file"),
    ],
)
def test_files_that_cannot_be_used_are_named(folder: Path, tmp_path: Path, spoil, says: str) -> None:
    for name in ("ca.crt", "broker.crt", "broker.key", "hub.key"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    spoil(tmp_path)
    with pytest.raises(ConfigError, match=says) as refused:
        check_certificates(config(tmp_path))
    assert "\n" not in str(refused.value)
