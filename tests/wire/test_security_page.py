"""The page on security is true: its programs run, its vectors hold, and its words are those of the code."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.wire.audit import FORGERY
from becomingone.wire.seal import node_key, open_json, open_sealed, seal, seal_json
from becomingone.wire.signature import Signer, Verifier

from .golden import DOCS, vectors

PAGE = (DOCS / "security.md").read_text()
VECTORS = vectors("sealed")
PROGRAMS: list[str] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def of(form: str) -> list[dict[str, Any]]:
    return [vector for vector in VECTORS if vector["form"] == form]


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    """What the page's program for others defines; it imports nothing of ours."""
    keys, text = PROGRAMS
    assert "becomingone" in keys
    assert re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE) == ["hashlib", "hmac"]
    namespace: dict[str, Any] = {}
    exec(compile(text, "seal.py", "exec"), namespace)
    return namespace


def test_there_is_a_vector_of_every_form() -> None:
    assert {vector["form"] for vector in VECTORS} == {"key", "cbor", "json", "signature"}


@pytest.mark.parametrize("vector", of("key"), ids=lambda vector: vector["description"])
def test_the_key_of_a_vector(vector: dict[str, Any]) -> None:
    secret = bytes.fromhex(vector["secret"])
    assert node_key(secret, vector["root"], vector["cell"], vector["node"]).hex() == vector["key"]


@pytest.mark.parametrize("vector", of("cbor"), ids=lambda vector: vector["description"])
def test_a_sealed_map_of_the_vectors(program: dict[str, Any], vector: dict[str, Any]) -> None:
    key, plain, sealed = (bytes.fromhex(vector[name]) for name in ("key", "plain", "sealed"))
    where = vector["topic"], plain, vector["epoch"]
    assert seal(key, *where) == sealed == program["seal"](key, *where)
    assert open_sealed(key, vector["topic"], sealed, vector["epoch"]) == sealed
    assert program["opens"](key, vector["topic"], sealed, vector["epoch"])
    assert not program["opens"](key, vector["topic"], sealed, vector["epoch"] ^ 1)
    assert not program["opens"](key, vector["topic"], plain, vector["epoch"])


@pytest.mark.parametrize("vector", of("json"), ids=lambda vector: vector["description"])
def test_a_sealed_object_of_the_vectors(program: dict[str, Any], vector: dict[str, Any]) -> None:
    key, plain, sealed = bytes.fromhex(vector["key"]), vector["plain"].encode(), vector["sealed"].encode()
    assert seal_json(key, vector["topic"], plain, vector["epoch"]) == sealed
    assert open_json(key, vector["topic"], sealed, vector["epoch"]) == sealed
    if plain != b"{}":
        assert program["seal_json"](key, vector["topic"], plain, vector["epoch"]) == sealed


@pytest.mark.parametrize("vector", of("signature"), ids=lambda vector: vector["description"])
def test_a_signed_map_of_the_vectors(vector: dict[str, Any]) -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    seed, public, plain, sealed = (bytes.fromhex(vector[name]) for name in ("seed", "public_key", "plain", "sealed"))
    assert Signer(seed).public_key == public
    assert Signer(seed).sign(vector["topic"], plain) == sealed
    assert Verifier(public).open(vector["topic"], sealed) == sealed


def test_the_keys_are_made_as_it_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    secret, seed = bytes(range(32)), bytes(range(32, 64))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{secret.hex()}\n{seed.hex()}\n"))
    exec(compile(PROGRAMS[0], "keys.py", "exec"), {})
    node, public = (line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines())
    assert node == node_key(secret, "becomingone", "home", "kitchen").hex()
    assert public == Signer(seed).public_key.hex()
    NodeConfig.model_validate({"node": "kitchen", "security": {"key": node, "hub_public_key": public}})
    HubConfig.model_validate({"security": {"secret": secret.hex(), "signing_key": seed.hex()}})


def test_the_words_are_those_of_the_code() -> None:
    for word in (*FORGERY, "wrong_epoch", "replayed", "before_start", "future"):
        assert f"`{word}`" in PAGE
    ahead = HubConfig.model_validate({}).ingest.max_ahead_s
    assert f"`ingest.max_ahead_s` ({ahead:g} s)" in PAGE
