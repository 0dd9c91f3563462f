"""The YAML that is written is read back as the same values, by our loaders and by Ansible's reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.config.tree import walk
from becomingone.provisioning.inventory.document import Reference, read_tree
from becomingone.provisioning.inventory.text import text_of, values

WORDS = st.sampled_from(
    [
        "on",
        "no",
        "null",
        "~",
        "1e3",
        "0o17",
        "0x1F",
        "1_000",
        "12:30:00",
        "2024-01-01",
        "007",
        ".inf",
        "",
        " x",
        "a: b",
        "#",
    ]
)
TEXTS = WORDS | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
SCALARS = TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=4) | st.dictionaries(TEXTS, part, max_size=4), max_leaves=12
)  # fmt: skip
NAMES = TEXTS.filter(lambda text: text != "<<")


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(content: dict[str, Any]) -> None:
    text = text_of("a head\nof two lines", content)
    assert yaml.safe_load(text) == content


@given(st.dictionaries(st.sampled_from(["a", "b"]), SCALARS | st.lists(SCALARS, max_size=3), min_size=1))
@settings(max_examples=100, deadline=None)
def test_our_loader_reads_the_same(tmp_path_factory: Any, content: dict[str, Any]) -> None:
    path = Path(tmp_path_factory.mktemp("text")) / "x.yaml"
    path.write_text(text_of("head", content))
    layers = read_tree(path)
    assert layers.problems == []
    assert not [node.wrong for _, node in walk(layers.root) if node.wrong]
    assert values(layers.root) == content


def test_a_secret_is_written_as_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text_of("", {"a": Reference("node_key")}))
    found = values(read_tree(path).root)["a"]
    assert isinstance(found, Reference)
    assert found.name == "node_key"
    assert found.get_secret_value() not in path.read_text()
