"""Fixtures: a cell with its secrets, on a clock that is set by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from becomingone.provisioning.identities.authority import Authority
from becomingone.provisioning.identities.cell_folder import create_cell
from becomingone.provisioning.identities.members import Members

from .cells import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> Authority:
    return create_cell(tmp_path / "cell", "home", now=clock)


@pytest.fixture
def members(authority: Authority) -> Members:
    return Members(authority)
