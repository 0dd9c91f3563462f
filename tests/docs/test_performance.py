"""The page on performance is true: its configurations are ones, and its benchmarks are there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from becomingone.bench.registry import BENCHES
from becomingone.broker.inbox import INBOX
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.described import MAX_ROWS
from becomingone.hub.intake.roster import MAX_MEMBERS
from becomingone.hub.relay.section import ChildSection

PAGE = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()


def test_its_configurations_are_a_child_and_its_parent() -> None:
    text = PAGE.replace("!secret attic_key", "'" + bytes(range(32)).hex() + "'")
    child, parent = (
        HubConfig.model_validate(yaml.safe_load(block)) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    )
    assert child.relay.parent == parent.cell
    assert list(parent.children) == [child.cell]
    assert parent.children["attic"] == ChildSection()  # what is shown are the defaults


def test_its_numbers_and_names_are_those_of_the_code() -> None:
    for number in (INBOX, MAX_ROWS, MAX_MEMBERS):
        assert f"{number:,}" in PAGE
    for name in ("ingest", "block", "latency", "scale"):
        assert f"| `{name}` |" in PAGE
        assert name in BENCHES
