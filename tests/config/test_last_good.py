"""The last good configuration reads back as it was, holds no secret, and costs the card no more than it must."""

from __future__ import annotations

import errno
import math
import stat
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from becomingone.config import atomic
from becomingone.config.last_good import LastGood, in_the_clear, to_text
from becomingone.config.loader import read_layers
from becomingone.config.tree import Data, Node, Place, format_keys, plain
from becomingone.errors import ConfigError

SECRET = "hunter2-Zq9"


class Link(BaseModel):
    password: SecretStr | None = None
    pins: list[SecretStr] = []
    logins: dict[str, SecretStr] = {}


class Top(BaseModel):
    link: Link = Link()
    name: Annotated[str, "no secret"] = ""


def tree(data: Any) -> Node:
    place = Place("test")
    if isinstance(data, dict):
        return Node(place, {name: tree(value) for name, value in data.items()})
    if isinstance(data, list):
        return Node(place, [tree(item) for item in data])
    return Node(place, data, str(data))


def back(text: str, tmp_path: Path, **environ: str) -> Data:
    layers = read_layers(tmp_path / "kept", raw=text.encode("ascii"), environ=environ)
    assert not layers.problems
    return plain(layers.root)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and one == other


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | TEXT
    | st.sampled_from(["on", "0o17", "1e5", "007", "~", ".inf", "- a", "!secret x", "2024-01-01", "<<"])
)
KEYS = TEXT.filter(lambda key: key != "<<")  # which a file cannot have either
DATA = st.dictionaries(
    KEYS, st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
)


@given(data=DATA)
@settings(max_examples=50, deadline=None)
def test_what_is_kept_reads_back_as_it_was(data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    text = to_text(tree({"a": 1, **data}))
    assert same(back(text, tmp_path_factory.getbasetemp()), {"a": 1, **data})


def test_secrets_are_kept_as_references(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("link:\n  password: !secret mqtt\n  logins: {a: !secret b.c}\n")
    environ = {"BECOMINGONE_SECRET_MQTT": SECRET, "BECOMINGONE_SECRET_B_C": f"{SECRET}-2"}
    layers = read_layers(path, environ=environ)
    text = to_text(layers.root)
    assert SECRET not in text
    assert list(in_the_clear(Top, layers.root)) == []
    again = back(text, tmp_path, BECOMINGONE_SECRET_MQTT="rotated-since", BECOMINGONE_SECRET_B_C="x")
    assert again == {"link": {"password": SecretStr("rotated-since"), "logins": {"a": SecretStr("x")}}}


def test_secrets_in_the_clear_are_found(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(f"name: x\nlink:\n  password: {SECRET}\n  pins: [!secret a, 1234]\n  logins: {{b: {SECRET}}}\n")
    root = read_layers(path, environ={"BECOMINGONE_SECRET_A": "x"}, overrides=[f"link.password={SECRET}"]).root
    assert [format_keys(keys) for keys in in_the_clear(Top, root)] == ["link.password", "link.pins[1]", "link.logins.b"]


def test_what_was_laid_over_the_file_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("name: a\nlink: {}\n")
    layers = read_layers(path, environ={"BECOMINGONE__NAME": "b"}, overrides=["link.pins=[]"])
    assert back(to_text(layers.root), tmp_path) == {"name": "b", "link": {"pins": []}}


def test_it_is_written_once_for_each_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[str] = []
    real = atomic.os.fsync
    monkeypatch.setattr(atomic.os, "fsync", lambda descriptor: (writes.append("sync"), real(descriptor)))
    kept = LastGood(tmp_path / "state", tmp_path / "node.yaml")
    assert kept.read() is None
    assert kept.write("a: 1\n")
    first = len(writes)
    assert first == 2  # the file, and its name in the folder
    assert not kept.write("a: 1\n")
    assert len(writes) == first
    assert kept.write("a: 2\n")
    assert kept.read() == b"a: 2\n"
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert [file.name for file in kept.path.parent.iterdir()] == [kept.path.name]


def test_two_files_of_one_name_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = LastGood(tmp_path, tmp_path / "a" / "node.yaml"), LastGood(tmp_path, tmp_path / "b" / "node.yaml")
    assert one.path != other.path
    monkeypatch.chdir(tmp_path)
    assert one.path == LastGood(tmp_path, Path("a/node.yaml")).path


def test_a_disk_that_refuses_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = LastGood(tmp_path, tmp_path / "node.yaml")
    kept.write("a: 1\n")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        kept.write("a: 2\n")
    assert kept.read() == b"a: 1\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    kept = LastGood(tmp_path, tmp_path / "node.yaml")
    kept.path.mkdir()
    with pytest.raises(ConfigError, match=r"last_good: Is a directory"):
        kept.read()
    with pytest.raises(ConfigError, match=r"last_good: Is a directory"):
        kept.write("a: 1\n")
