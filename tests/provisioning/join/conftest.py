"""A cell for each test."""

import pytest

from .cell import Cell, serving


@pytest.fixture
def cell(tmp_path):
    return Cell(tmp_path / "cell")


@pytest.fixture
def served(cell):
    with serving(cell) as made:
        yield made
