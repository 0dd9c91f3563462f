"""Every field of a node's configuration says whether a running node takes it, and the JSON Schema says so too."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from becomingone.config.loader import schema
from becomingone.config.marks import HOT, MARK, RESTART, Marked, fields, mark_of, section_of
from becomingone.node.config import InputSection, NodeConfig

FIELDS = list(fields(NodeConfig))


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
def test_every_field_is_marked_and_described(field: Marked) -> None:
    assert field.restart is not None, "write RESTART or HOT among its annotations"
    assert field.description


def in_schema(path: str) -> dict[str, Any]:
    """What the JSON Schema says at a path such as ``inputs[].name``."""
    whole = schema(NodeConfig)
    here: dict[str, Any] = whole
    for part in path.split("."):
        name = part.rstrip("[]{}")
        here = here["properties"][name]
        found = here
        if part.endswith("[]"):
            here = here["items"]
        elif part.endswith("{}"):
            here = here["additionalProperties"] if "additionalProperties" in here else here["patternProperties"]
            here = here if "$ref" in here else next(iter(here.values()))
        while "$ref" in here:
            here = whole["$defs"][here["$ref"].rpartition("/")[2]]
    return found


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
def test_the_schema_says_the_same(field: Marked) -> None:
    assert in_schema(field.path)[MARK] is field.restart


def test_what_makes_a_node_another_one_requires_a_restart() -> None:
    marks = {field.path: field.restart for field in FIELDS}
    assert all(marks[path] for path in ("node", "cell", "root", "broker.url", "security.key", "state_dir", "bands"))
    assert not any(marks[path] for path in ("inputs", "outputs", "inputs[].options", "frames_per_s", "logging.level"))


class Leaf(BaseModel):
    hot: Annotated[int, HOT] = 0
    silent: int = 0


class Top(BaseModel):
    plain: int = 0
    cold: Annotated[Leaf, RESTART] = Leaf()
    many: Annotated[tuple[Leaf, ...], HOT] = ()
    by_name: dict[str, Leaf] = {}
    either: Annotated[Leaf | None, RESTART, Field(description="one or none")] = None


def test_a_field_without_a_mark_has_that_of_what_it_stands_in() -> None:
    assert {field.path: field.restart for field in fields(Top)} == {
        "plain": None,
        "cold.hot": False,
        "cold.silent": True,
        "many": False,
        "many[].hot": False,
        "many[].silent": False,
        "by_name": None,
        "by_name{}.hot": False,
        "by_name{}.silent": None,
        "either.hot": False,
        "either.silent": True,
    }


def test_a_mark_leaves_the_field_as_it_was() -> None:
    name = InputSection.model_fields["name"]
    assert name.description == "unique within the node"
    assert mark_of(name) is False
    assert section_of(NodeConfig.model_fields["inputs"].annotation) is InputSection
    assert section_of(NodeConfig.model_fields["node"].annotation) is None
