"""Keys in a configuration: read in two writings, wrong ones told clearly and never shown."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from becomingone.config.loader import ConfigProblems, digest, load
from becomingone.config.security import key_bytes
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig

KEY = bytes(range(200, 232))
WRITINGS = [
    KEY.hex(),
    KEY.hex().upper(),
    f" {KEY.hex()}\n",
    base64.b64encode(KEY).decode(),
    base64.urlsafe_b64encode(KEY).decode(),
]


def read_hub(tmp_path: Path, text: str, **environ: str) -> HubConfig:
    path = tmp_path / "hub.yaml"
    path.write_text(text, "utf-8")
    return load(HubConfig, path, environ=environ)


def read_node(tmp_path: Path, text: str) -> NodeConfig:
    path = tmp_path / "node.yaml"
    path.write_text(f"node: n\n{text}", "utf-8")
    return load(NodeConfig, path, environ={})


@pytest.mark.parametrize("text", WRITINGS)
def test_a_key_is_read_in_every_writing(text: str) -> None:
    assert key_bytes(text) == KEY


def test_nothing_is_sealed_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert read_hub(tmp_path, "{}\n").security.cell_secret() is None
    assert read_node(tmp_path, "").security.node_key() is None


def test_keys_come_by_reference(tmp_path: Path) -> None:
    hub = read_hub(tmp_path, "security: {secret: !secret cell}\n", BECOMINGONE_SECRET_CELL=KEY.hex())
    assert hub.security.cell_secret() == KEY
    node = read_node(tmp_path, f"security: {{key: '{KEY.hex()}', hub_public_key: '{KEY.hex()}'}}\n")
    assert node.security.node_key() == KEY


def test_a_key_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    hub = read_hub(tmp_path, f"security: {{secret: '{KEY.hex()}', signing_key: '{KEY.hex()}'}}\n")
    assert KEY.hex() not in f"{hub!r} {hub} {hub.model_dump_json()}"
    other = read_hub(tmp_path, f"security: {{secret: '{KEY[::-1].hex()}', signing_key: '{KEY.hex()}'}}\n")
    assert digest(hub) == digest(other) != digest(read_hub(tmp_path, "{}\n"))


LENGTH = "must be 32 bytes as 64 hexadecimal digits or as base64: openssl rand -hex 32"
BAD = [
    ("abc", LENGTH),
    (KEY.hex()[:-2], LENGTH),
    (KEY.hex() + "00", LENGTH),
    (KEY.hex()[:-1] + "g", LENGTH),
    (base64.b64encode(KEY[:-1]).decode(), LENGTH),
    (base64.b64encode(KEY + b"\0").decode(), LENGTH),
    (base64.b64encode(KEY).decode().rstrip("="), LENGTH),
    ("correct horse battery staple", LENGTH),
    ("00" * 32, "must be random, and is not: openssl rand -hex 32"),
    ("0123" * 16, "must be random, and is not: openssl rand -hex 32"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_a_wrong_key_is_told_with_its_field_and_not_shown(tmp_path: Path, text: str, says: str) -> None:
    for what, read in (("secret", read_hub), ("signing_key", read_hub), ("key", read_node)):
        with pytest.raises(ConfigProblems) as caught:
            read(tmp_path, f"security:\n  {what}: '{text}'\n")
        (line,) = [line for line in caught.value.problems if f"security.{what}: " in line]
        assert line.endswith(f"security.{what}: {says} (a secret)")
        assert text not in str(caught.value)


def test_a_wrong_public_key_is_told_and_shown(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigProblems, match=r"node.yaml:3: security.hub_public_key: must be 32 bytes .* \(got 'abc'\)"
    ):
        read_node(tmp_path, "security:\n  hub_public_key: abc\n  key: '" + KEY.hex() + "'\n")


def test_half_of_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="security: signing_key needs secret as well: alone it protects nothing"):
        read_hub(tmp_path, f"security: {{signing_key: '{KEY.hex()}'}}\n")
    with pytest.raises(ConfigProblems, match="security: hub_public_key needs key as well: alone it protects nothing"):
        read_node(tmp_path, f"security: {{hub_public_key: '{KEY.hex()}'}}\n")
