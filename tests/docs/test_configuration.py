"""The section on a node's configuration is true: its table is the schema's, and what it quotes can be configured."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from becomingone.config import settled
from becomingone.config.marks import fields
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig

PAGE = Path(__file__).parents[2] / "docs" / "node.md"


def section() -> str:
    """The section Configuration, up to the next of its rank."""
    return PAGE.read_text().split("\n## Configuration\n")[1].split("\n## ")[0]


def table() -> list[str]:
    """The rows that the table must have; what a test of it prints can be pasted."""
    assert not any("|" in field.description for field in fields(NodeConfig))
    effect = {True: "restart", False: "reload", None: "?"}
    return [f"| `{field.path}` | {field.description} | {effect[field.restart]} |" for field in fields(NodeConfig)]


def test_every_field_is_in_the_table_as_the_schema_has_it() -> None:
    rows = [line for line in section().splitlines() if re.match(r"\| `", line)]
    assert rows == table(), "the rows must be\n" + "\n".join(table())


def test_the_digests_of_the_page_can_be_configured() -> None:
    (text,) = re.findall(r"```yaml\n(# hub\.yaml\n.*?)```", section(), re.DOTALL)
    assert HubConfig.model_validate(yaml.safe_load(text)).desired.keys() == {"kitchen"}


def test_the_times_are_those_of_the_code() -> None:
    text = " ".join(section().split())
    assert f"two looks, {settled.PAUSE_S * 1000:.0f} ms apart" in text
    assert f"waits up to {settled.PATIENCE_S:g} s" in text
    assert f"changes for {settled.LONGEST_S:g} s" in text
