"""A million messages of a broker's own making: none is taken, and the honest ones among them all are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.hub.adversary import siege

pytestmark = pytest.mark.campaign

TOTAL = 1_000_000
SECONDS = 140.0


def test_a_million_forgeries(record_property: Callable[[str, object], None]) -> None:
    cell, adversary = siege(2026, TOTAL, SECONDS)
    assert adversary.accepted == []
    assert adversary.sent.total() == TOTAL
    assert min(adversary.sent.values()) > 5000, adversary.sent
    refused = cell.refused()
    print(
        f"sent {dict(adversary.sent)}, honest {cell.honest}, of which {cell.expected} had to be taken, {dict(refused)}"
    )
    record_property("sent", str(dict(adversary.sent)))
    record_property("refused", str(dict(refused)))
    assert cell.expected > 5000  # each of them was taken: see `HostileCell`
    assert refused.total() >= TOTAL + cell.honest - cell.expected
