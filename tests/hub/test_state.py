"""The cell's overall figures from its bands."""

from __future__ import annotations

import math

import pytest

from becomingone.hub.mesh.state import BandState, MeshState

from .parts import NOW_US


def band(name: str, weight: float = 1.0, **fields: object) -> BandState:
    return BandState(**{"name": name, "valid": True, "weight": weight, **fields})  # type: ignore[arg-type]


def mesh(*bands: BandState) -> MeshState:
    return MeshState(NOW_US, bands)


def test_nothing_valid_has_no_figures() -> None:
    for state in (mesh(), mesh(BandState(name="a", valid=False, weight=5.0, coherence=1.0))):
        assert not state.valid
        assert state.dominant is None
        assert [state.overall(figure) for figure in ("coherence", "order", "locking")] == [None] * 3


def test_figures_are_weighted_means_over_the_valid_bands() -> None:
    state = mesh(
        band("a", 3.0, coherence=1.0, order=0.2),
        band("b", 1.0, coherence=0.0, order=0.6),
        BandState(name="c", valid=False, weight=100.0, coherence=1.0),
    )
    assert state.valid
    assert state.overall("coherence") == pytest.approx(0.75)
    assert state.overall("order") == pytest.approx(0.3)


def test_a_band_whose_offsets_are_not_learnt_does_not_count_for_locking() -> None:
    assert mesh(band("a", 3.0), band("b", 1.0, locking=0.5)).overall("locking") == 0.5
    assert mesh(band("a", 3.0)).overall("locking") is None


def test_weights_that_are_all_zero_have_no_figures() -> None:
    assert mesh(band("a", 0.0, coherence=1.0)).overall("coherence") is None


def test_the_dominant_band_has_most_weight_times_coherence() -> None:
    state = mesh(band("a", 4.0, coherence=0.2), band("b", 1.0, coherence=0.9), band("c", 9.0))
    assert state.dominant is state.bands[1]


def test_of_equals_the_least_likely_noise_dominates() -> None:
    state = mesh(band("a", p=0.5), band("b", p=0.01), band("c", p=0.2))
    assert state.dominant is state.bands[1]


def test_the_phase_is_that_of_the_mean_field() -> None:
    assert band("a", mean_field=0.3j).phase == pytest.approx(math.pi / 2)
    assert band("a", mean_field=-0.5 + 0j).phase == pytest.approx(math.pi)
    assert band("a", mean_field=0j).phase is None
    assert BandState(name="a", valid=False, mean_field=1 + 0j).phase is None
