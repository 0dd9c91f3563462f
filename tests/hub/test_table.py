"""The table grows, its rows stay where they are, and it tells which of them count."""

from __future__ import annotations

import numpy as np

from becomingone.hub.table import COLUMNS, ChannelTable, RowKey
from becomingone.wire.frame import Flags

from .parts import NOW_US, frame


def key(number: int) -> RowKey:
    return RowKey(f"n{number}", "stride", "tone")


def table_of(count: int) -> ChannelTable:
    table = ChannelTable()
    for number in range(count):
        row = table.row(key(number), node=number, band=0, max_age_s=2.0, capability=float(number))
        table.store(row, frame(number * 0.001, seq=number))
    return table


def test_an_empty_table() -> None:
    table = ChannelTable()
    assert len(table) == 0
    assert all(len(table[name]) == 0 for name in COLUMNS)
    assert table.usable(NOW_US).shape == (0,)
    table.set_alive(3, alive=False)


def test_growing_keeps_what_is_there() -> None:
    table = table_of(300)  # two doublings
    assert len(table) == 300
    assert [table.row(key(n), node=n, band=0, max_age_s=2.0, capability=float(n)) for n in (0, 63, 64, 299)] == [
        0,
        63,
        64,
        299,
    ]
    assert np.allclose(np.angle(table.phasors()), 0.001 * np.arange(300), atol=1e-6)
    assert table["capability"].tolist() == list(range(300))
    assert table["alive"].all()
    assert table.keys == [key(n) for n in range(300)]


def test_columns_are_views_that_write_through() -> None:
    table = table_of(3)
    table.floats("weight")[:] = [1, 2, 3]
    table.phasors("tick_phasor")[1] = 1j
    assert table["weight"].tolist() == [1, 2, 3]
    assert table["tick_phasor"].tolist() == [0, 1j, 0]
    assert {name: table[name].dtype for name in COLUMNS} == {name: np.dtype(kind) for name, kind in COLUMNS.items()}


def test_a_description_is_brought_up_to_date_and_the_state_is_kept() -> None:
    table = table_of(2)
    assert table.row(key(1), node=7, band=1, max_age_s=5.0, capability=0.5) == 1
    assert (table["node"][1], table["band"][1], table["max_age_s"][1], table["capability"][1]) == (7, 1, 5.0, 0.5)
    assert len(table) == 2
    assert abs(np.angle(table["phasor"][1]) - 0.001) < 1e-6


def test_a_block_s_last_sample_is_the_live_state() -> None:
    table = table_of(1)
    phasors = np.exp(1j * np.array([0.1, 0.2, 0.3])).astype(np.complex64)
    table.store(0, frame(phasors=phasors, spacing_us=20_000.0))
    assert abs(np.angle(table["phasor"][0]) - 0.3) < 1e-6
    assert table["time_us"][0] == NOW_US + 40_000


def test_what_is_usable() -> None:
    table = table_of(6)
    table.store(1, frame(flags=Flags.NONE))
    table.store(2, frame(flags=Flags.VALID | Flags.GAP | Flags.UNDECIDABLE | Flags.SIMULATED))
    table.store(3, frame(time_us=NOW_US - 2_000_000))
    table.set_alive(4, alive=False)
    table.store(5, frame(time_us=NOW_US + 500_000))  # ahead, within what is taken
    assert table.usable(NOW_US).tolist() == [True, False, True, False, False, True]
    table["max_age_s"][3] = 2.1
    assert table.usable(NOW_US)[3]


def test_a_phase_of_nothing_is_not_usable() -> None:
    """A frame may say that it is valid and hold a zero all the same."""
    table = table_of(2)
    table.store(1, frame(phasors=np.zeros(1, np.complex64)))
    assert table.usable(NOW_US).tolist() == [True, False]


def test_a_row_that_has_had_no_frame_is_not_usable() -> None:
    table = table_of(1)
    table.row(key(1), node=1, band=0, max_age_s=1e12, capability=1.0)
    assert table.usable(0).tolist() == [True, False]


def test_a_node_that_is_gone_counts_again_with_its_next_frame() -> None:
    table = table_of(3)
    table.set_alive(1, alive=False)
    assert table["alive"].tolist() == [True, False, True]
    table.store(1, frame())
    assert table["alive"].all()
