"""A sum from which nothing can be told is refused before anybody divides by it."""

from __future__ import annotations

import pytest

from becomingone.errors import FrameError
from becomingone.wire import cbor
from becomingone.wire.aggregate import decode_aggregate


@pytest.mark.parametrize("weight", [1e-200, 5e-324])
def test_a_weight_whose_square_underflows_is_refused(weight: float) -> None:
    sums = [weight, 0.0, 0.0, 0.0, 0.0, 0.0, weight * weight, 1, 1_000_000]
    fields = {1: 1, 2: 0, 3: 1_000_000, 4: {"stride": sums}}
    with pytest.raises(FrameError, match="range"):
        decode_aggregate(cbor.encode(fields))
