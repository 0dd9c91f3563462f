"""The table grows, its rows stay where they are, and those of a band are found."""

from __future__ import annotations

import numpy as np

from becomingone.hub.mesh.table import COLUMNS, ChannelTable, RowKey

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


def test_what_is_not_known_is_not_a_number_and_trust_is_whole() -> None:
    table = table_of(200)  # grown in between
    assert np.isnan(table["offset"]).all()
    assert table["trust"].tolist() == [1.0] * 200
    assert np.isnan(table.phasors("resonance")).all()
    table.store(3, frame(resonance=0.25 - 0.5j))
    assert table["resonance"][3] == 0.25 - 0.5j
    table.store(3, frame())
    assert np.isnan(table["resonance"][3])
    table["trust"][3] = 0.5
    table.row(key(3), node=3, band=0, max_age_s=1.0, capability=2.0)
    assert table["trust"][3] == 0.5  # its description says nothing about it


def in_bands(*bands: int) -> ChannelTable:
    table = ChannelTable()
    for number, band in enumerate(bands):
        table.row(RowKey(f"n{number % 3}", f"b{band}", f"c{number}"), node=number % 3, band=band, **DESCRIBED)
    return table


DESCRIBED = {"max_age_s": 1.0, "capability": 1.0}


def test_the_rows_of_a_band() -> None:
    table = in_bands(0, 1, 0, 1, 1)
    ours = table.of_band(1)
    assert ours.rows.tolist() == [1, 3, 4]
    assert ours.place.tolist() == [0, 1, 2]
    assert (ours.node.tolist(), ours.nodes) == ([1, 0, 1], 2)
    assert table["band"][ours.index].tolist() == [1, 1, 1]
    assert table.of_band(1) is ours
    nobody = table.of_band(7)
    assert (len(nobody.rows), nobody.nodes, len(table["weight"][nobody.index])) == (0, 0, 0)


def test_rows_that_no_other_band_s_lie_between_are_not_copied() -> None:
    table = in_bands(0, 0, 1, 1, 1)
    table["weight"][table.of_band(1).index][:] = 5.0
    assert table["weight"].tolist() == [0, 0, 5, 5, 5]
    assert isinstance(in_bands(0, 1, 0).of_band(0).index, np.ndarray)


def test_a_row_that_is_added_shows_in_its_band_alone() -> None:
    table = in_bands(0, 1, 0)
    first, second = table.of_band(0), table.of_band(1)
    table.row(RowKey("n9", "b1", "c"), node=9, band=1, **DESCRIBED)
    assert table.of_band(0) is first
    assert table.of_band(1) is not second
    assert table.of_band(1).rows.tolist() == [1, 3]
    assert table.of_band(1).place.tolist() == [0, 1]


def test_a_row_that_changes_its_band_or_node_is_found_there() -> None:
    table = in_bands(0, 0, 1)
    table.of_band(0), table.of_band(1)
    table.row(table.keys[1], node=1, band=1, **DESCRIBED)
    assert table.of_band(0).rows.tolist() == [0]
    assert table.of_band(1).rows.tolist() == [1, 2]
    assert sorted(table.of_band(1).place.tolist()) == [0, 1]
    table.row(table.keys[2], node=1, band=1, **DESCRIBED)
    assert table.of_band(1).nodes == 1


def test_a_node_that_is_gone_counts_again_with_its_next_frame() -> None:
    table = table_of(3)
    table.set_alive(1, alive=False)
    assert table["alive"].tolist() == [True, False, True]
    table.store(1, frame())
    assert table["alive"].all()
