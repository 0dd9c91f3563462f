"""The page on control is true: its limits are those of the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "control.md").read_text()
LIMITS = re.findall(r"^\| [^|]+ \| ([\d.]+) \| `([\w.]+)\.([A-Z_]+)` \|$", PAGE, re.MULTILINE)


def test_the_page_has_limits() -> None:
    assert len(LIMITS) > 15


@pytest.mark.parametrize(("value", "module", "name"), LIMITS, ids=[name for _, _, name in LIMITS])
def test_a_limit_is_that_of_the_code(value: str, module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) == float(value)
