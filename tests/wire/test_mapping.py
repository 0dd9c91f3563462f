"""What a field means for an output, the same on hub and node."""

from __future__ import annotations

import cmath
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.wire.command import RANGES, OutputCommand, decode_command, encode_command
from becomingone.wire.mapping import values_for


@pytest.mark.parametrize(
    ("field", "hue", "frequency"),
    [(1, 360, 880), (-1, 0, 440), (0, 180, 660), (1j, 180, 660), (0.5, 270, 770), (0.6 - 0.8j, 288, 792)],
)
def test_the_documents_mappings(field: complex, hue: float, frequency: float) -> None:
    assert values_for("display", field, 0.75) == {"hue": pytest.approx(hue), "brightness": 0.75}
    assert values_for("speaker", field, 0.75) == {"frequency": pytest.approx(frequency), "volume": 0.75}
    assert values_for("motor", field, 0.75) == {"velocity": complex(field).real, "rotation": complex(field).imag}


@given(
    st.sampled_from(sorted(RANGES)),
    st.floats(0.0, 1.0 + 1e-9),
    st.floats(-math.pi, math.pi),
    st.floats(-1e-9, 1.0 + 1e-9),
)
def test_whatever_rounding_does_a_node_takes_it(role: str, modulus: float, phase: float, coherence: float) -> None:
    values = values_for(role, cmath.rect(modulus, phase), coherence)
    assert set(values) == set(RANGES[role])
    decode_command(encode_command(OutputCommand(boot=1, id=0, expires_us=1, values=values)), role)


def test_there_is_no_other_role() -> None:
    with pytest.raises(ValueError, match="a role is one of display, speaker, motor, not 'heater'"):
        values_for("heater", 0j, 0.0)
