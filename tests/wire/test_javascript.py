"""Our deterministic encoding is what a JavaScript library makes of the same values, byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from becomingone.wire import cbor

from .golden import Tag, item
from .messages import MESSAGES

PACKAGE, VERSION = "cbor2", "2.3.0"
"""https://www.npmjs.com/package/cbor2, no relation of Python's."""

MAJOR = 20
"""The oldest node that it runs on."""

SCRIPT = Path(__file__).with_name("encode.mjs")


def node_version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    return int(said.removeprefix("v").split(".")[0])


@pytest.fixture(scope="module")
def library() -> Path:
    """The package's entry, fetched once and kept for later runs."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    if node_version(node) < MAJOR:
        pytest.skip(f"node is older than {MAJOR}, which the package {PACKAGE} needs")
    kept = Path(tempfile.gettempdir()) / f"becomingone-npm-{os.getuid()}" / f"{PACKAGE}-{VERSION}"
    entry = Path("node_modules", PACKAGE, "lib", "index.js")
    if not (kept / entry).exists():
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        assert kept.parent.stat().st_uid == os.getuid(), f"{kept.parent} is somebody else's"
        staging = Path(tempfile.mkdtemp(dir=kept.parent))
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
        command = [npm, "install", "--prefix", str(staging), *options, f"{PACKAGE}@{VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        try:
            staging.rename(kept)
        except OSError:  # another run has just done the same
            shutil.rmtree(staging)
    return kept / entry


def described(value: Any) -> list[Any]:
    """A value as the script reads it."""
    if isinstance(value, Tag):
        return ["tag", [value.number, described(value.content)]]
    if isinstance(value, list):
        return ["list", [described(element) for element in value]]
    if isinstance(value, dict):
        # The other way round, so that the order is the library's own work.
        return ["map", [[described(key), described(content)] for key, content in reversed(value.items())]]
    kind, text = SCALARS[type(value)]
    return [kind, text(value)]


SCALARS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    bool: ("bool", bool),
    type(None): ("null", lambda _: None),
    int: ("int", str),
    float: ("float", repr),
    str: ("text", str),
    bytes: ("bytes", bytes.hex),
}


def javascript(library: Path, values: list[Any]) -> list[bytes]:
    """What the library makes of values."""
    lines = "".join(json.dumps(described(value)) + "\n" for value in values)
    done = subprocess.run(
        ["node", str(SCRIPT), str(library)], input=lines, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [bytes.fromhex(line) for line in done.stdout.splitlines()]


def test_the_vectors_are_what_javascript_makes_of_their_fields(library: Path) -> None:
    pairs = [(message, vector) for message in MESSAGES for vector in message.vectors]
    made = javascript(library, [message.content(vector["fields"]) for message, vector in pairs])
    assert [encoded.hex() for encoded in made] == [vector["hex"] for _, vector in pairs]
    assert len(made) > 40


def test_any_message_is_what_javascript_makes_of_it(library: Path) -> None:
    found: list[tuple[Any, bytes]] = []

    @given(st.data())
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    def collect(data: st.DataObject) -> None:
        for message in MESSAGES:
            fields = data.draw(message.any)
            found.append((message.content(fields), message.encode(message.value(fields))))

    collect()
    contents, ours = zip(*found, strict=True)
    assert javascript(library, list(contents)) == list(ours)
    assert len(found) >= 25 * len(MESSAGES)


def test_any_map_is_what_javascript_makes_of_it(library: Path) -> None:
    found: list[dict[int, Any]] = []
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    integers = st.integers(-(2**64), 2**64 - 1)
    finite = st.floats(allow_nan=False, allow_infinity=False)
    scalars = st.one_of(integers, finite, st.booleans(), st.none(), texts, st.binary(max_size=30))
    inner = st.one_of(scalars, st.lists(scalars, max_size=4), st.dictionaries(texts | integers, scalars, max_size=4))

    @given(st.dictionaries(st.integers(0, 2**64 - 1), inner, max_size=6))
    @settings(max_examples=200, deadline=None, database=None)
    def collect(content: dict[int, Any]) -> None:
        found.append(content)

    collect()
    assert javascript(library, found) == [cbor.encode(content) for content in found] == list(map(item, found))
