"""Whose card it is: from the inventory, the cell's secrets, or a token."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from becomingone.cli import main
from becomingone.provisioning.identities.cell_secrets import CellSecrets
from becomingone.provisioning.join.join_file import read_join_file
from becomingone.provisioning.join.token import JoinToken

from .conftest import KEY
from .images import BOOT_START, boot_names, boot_text

MESH = """\
cell: home
broker: {machine: attic, names: [attic.local]}
hub: {machine: attic}
machines:
  attic: {model: pi_4, address: attic.local}
  shed: {model: zero_2_w, address: shed-2.example.org, user: anna}
  porch: {model: pi_4, address: 192.0.2.7}
nodes:
  kitchen:
    hardware: pi_zero
    machine: shed
    inputs: [{name: air, kind: i2c_sensor_stand_in}]
  porch: {hardware: pi_4}
"""
TOKEN = JoinToken.make("kitchen", "ab" * 32, lambda count: bytes(range(count)))


@pytest.fixture
def cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A cell folder with everything that a card with an identity needs."""
    sensor = "inputs: [{name: air, kind: i2c_sensor_stand_in}]"
    text = MESH.replace(sensor, "outputs: [{name: lamp, kind: led, options: {pin: 17}}]")
    (tmp_path / "mesh.yaml").write_text(text)
    where = ["--cell-dir", str(tmp_path)]
    assert main(["provision", "ca", *where]) == 0
    assert main(["provision", "node", "--all", *where]) == 0
    assert main(["provision", "render", str(tmp_path / "mesh.yaml")]) == 0
    capsys.readouterr()
    return tmp_path


def _content(image: Path, name: str) -> bytes:
    command = ["mtype", "-i", f"{image}@@{BOOT_START}", f"::{name}"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def test_an_identity(flash: Any, cell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = cell / "kitchen.img"
    assert flash("--out", out, "--identity") == 0
    told = capsys.readouterr().out
    assert "until that boot whoever has it can read: becomingone/tls_key, becomingone/node_key" in told
    key = load_pem_private_key(_content(out, "becomingone/tls_key"), None)
    certificate = x509.load_pem_x509_certificate(_content(out, "becomingone/node.crt"))
    assert certificate.public_key() == key.public_key()
    assert _content(out, "becomingone/ca.crt") == (cell / "secrets" / "ca.crt").read_bytes()
    secrets = CellSecrets.open(cell / "secrets" / "cell.yaml")
    assert (
        _content(out, "becomingone/node_key")
        == secrets.node_key("becomingone", "home", "kitchen").hex().encode() + b"\n"
    )
    assert _content(out, "becomingone/node.yaml") == (cell / "out/nodes/kitchen/node.yaml").read_bytes()
    script = boot_text(out, "becomingone/install.sh")
    for line in (
        "put tls_key 0600 /etc/credstore/becomingone.tls_key",
        "put node_key 0600 /etc/credstore/becomingone.node_key",
        "put node.crt 0644 /etc/becomingone/tls/node.crt",
        "put ca.crt 0644 /etc/becomingone/tls/ca.crt",
        "put node.yaml 0644 /etc/becomingone/node.yaml",
    ):
        assert line in script
    # Name, user and interfaces are the machine's.
    data = yaml.safe_load(boot_text(out, "user-data"))
    assert (data["hostname"], data["users"][0]["name"]) == ("shed-2", "anna")
    assert secrets.secret.hex().encode() not in out.read_bytes()
    assert secrets.signing_key.hex().encode() not in out.read_bytes()


def test_a_void_identity_is_not_put_onto_a_card(flash: Any, cell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issued = cell / "secrets" / "identities" / "kitchen"
    kept = {path.name: path.read_text() for path in issued.iterdir()}
    assert main(["provision", "revoke", "kitchen", "--cell-dir", str(cell)]) == 0
    assert flash("--out", cell / "kitchen.img", "--identity") == 2
    assert "kitchen: has no key and certificate here" in capsys.readouterr().err
    issued.mkdir(mode=0o700)  # brought back from a copy
    for name, text in kept.items():
        (issued / name).write_text(text)
        (issued / name).chmod(0o600)
    assert flash("--out", cell / "kitchen.img", "--identity") == 2
    assert "--identity: the certificate of kitchen is revoked: becomingone provision node kitchen" in (
        capsys.readouterr().err
    )
    assert not (cell / "kitchen.img").exists()


def test_names_from_the_inventory(flash: Any, cell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, host in [("porch", "porch"), ("attic", "attic")]:
        out = cell / f"{name}.img"
        assert flash("--out", out, node=name) == 0
        assert yaml.safe_load(boot_text(out, "user-data"))["hostname"] == host  # an address is no name
    assert flash("--out", cell / "b.img", node="cellar") == 2
    assert "mesh.yaml has no node or machine 'cellar'; it has attic, kitchen, porch, shed" in capsys.readouterr().err
    assert flash("--out", cell / "b.img", "--identity", node="attic") == 2
    assert "attic is a machine without a node" in capsys.readouterr().err
    assert flash("--out", cell / "b.img", node="../kitchen") == 2
    assert "--node: '../kitchen' must be 1 to 63 of" in capsys.readouterr().err


def test_interfaces_are_those_of_the_devices(flash: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "i2c_sensor_stand_in.py").write_text(SENSOR)
    (tmp_path / "mesh.yaml").write_text(MESH + "drop_in: devices\n")
    out = tmp_path / "kitchen.img"
    assert flash("--out", out) == 0, capsys.readouterr().err
    assert "dtparam=i2c_arm=on" in boot_text(out, "config.txt").split()
    assert boot_text(out, "becomingone/modules.conf") == "i2c-dev\n"
    assert flash("--out", tmp_path / "other.img", "--interfaces", "spi") == 0
    assert "dtparam=i2c_arm=on" not in boot_text(tmp_path / "other.img", "config.txt").split()
    (tmp_path / "mesh.yaml").write_text(MESH)
    assert flash("--out", tmp_path / "b.img") == 2
    assert "mesh.yaml:12: " in capsys.readouterr().err


SENSOR = '''\
"""Reads a sensor on the bus."""

from __future__ import annotations

from pydantic import BaseModel

from becomingone.devices.contract import Channel, Ports


class Options(BaseModel, frozen=True, extra="forbid"):
    """Nothing to choose."""


class Device:
    """One sensor."""

    origin = "live"

    def __init__(self, options: Options, ports: Ports) -> None:
        self.channels = (Channel("temperature", "°C", 1.0, "temperature", 0.5),)
        self.bus = ports.i2c

    def read(self) -> dict[str, float | None]:
        """Read it."""
        return {"temperature": 20.0}

    def close(self) -> None:
        """End."""
'''


def test_a_token(flash: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "token", tmp_path / "kitchen.img"
    path.write_text(TOKEN.text + "\n")
    assert flash("--out", out, "--token-file", path, "--join-url", "https://attic.local:8899") == 0
    assert "until that boot whoever has it can read: becomingone/join.yaml" in capsys.readouterr().out
    assert "put join.yaml 0600 /etc/becomingone/join.yaml" in boot_text(out, "becomingone/install.sh")
    placed = tmp_path / "join.yaml"
    placed.write_text(boot_text(out, "becomingone/join.yaml"))
    placed.chmod(0o600)
    read = read_join_file(placed)
    assert (read.join_token, read.url) == (TOKEN, "https://attic.local:8899")
    # Found by mDNS where no server is named.
    assert flash("--out", tmp_path / "b.img", "--token-file", path) == 0
    placed.write_text(boot_text(tmp_path / "b.img", "becomingone/join.yaml"))
    assert read_join_file(placed).url == "mdns"


@pytest.mark.parametrize(
    ("text", "words", "why"),
    [
        (TOKEN.text.replace("kitchen", "porch"), (), "the token is porch's, and the card is to be kitchen's"),
        ("kitchen.secret", (), "the token must have three parts"),
        (None, (), "No such file or directory"),
        (TOKEN.text, ("--join-url", "http://attic.local"), "must be https://HOST"),
    ],
)
def test_tokens_that_are_refused(
    flash: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, words: tuple[str, ...], why: str
) -> None:
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
    assert flash("--out", tmp_path / "kitchen.img", "--token-file", path, *words) == 2
    told = capsys.readouterr().err
    assert why in told
    assert "aaaq" not in told  # what the token begins with
    assert not (tmp_path / "kitchen.img").exists()


def test_a_wheel(flash: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "becomingone-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("becomingone-1.2.dist-info/METADATA", "")
    out = tmp_path / "kitchen.img"
    assert flash("--out", out, "--wheel", wheel) == 0
    assert _content(out, f"becomingone/{wheel.name}") == wheel.read_bytes()
    assert "systemctl enable becomingone-software.service" in boot_text(out, "becomingone/install.sh")
    assert "becomingone/software.sh" in boot_names(out)


def test_the_wifi_file_is_its_owners(
    flash: Any, tmp_path: Path, wifi_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kitchen.img"
    wifi_file.chmod(0o644)
    assert flash("--out", out, "--wifi-file", wifi_file) == 2
    assert f"others may read it: chmod 600 {wifi_file}" in capsys.readouterr().err
    wifi_file.chmod(0o600)
    wifi_file.write_text("ssid: Example Net\npassword: correct\ncountry: gb\n")
    assert flash("--out", out, "--wifi-file", wifi_file) == 2
    told = capsys.readouterr().err
    assert "wifi.yaml:3: country: " in told
    assert "correct" not in told
    assert flash("--out", out, "--wifi-file", tmp_path / "none") == 2
    assert "No such file" in capsys.readouterr().err


def test_the_operators_own_key_is_taken(
    flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert flash("--out", tmp_path / "a.img", ssh=False) == 2
    assert "there is no public key in" in capsys.readouterr().err
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(KEY + "\n")
    assert flash("--out", tmp_path / "a.img", ssh=False) == 0
    assert KEY in boot_text(tmp_path / "a.img", "user-data")
