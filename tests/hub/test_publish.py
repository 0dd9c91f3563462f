"""Figures are published when their text changes, and taken back when nothing stands behind them."""

from __future__ import annotations

import pytest

from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.showing.figures import GRACE_US, FigurePublisher

from .parts import NOW_US, TOPICS

FIGURES = ("coherence", "order", "locking", "phase")


class Board:
    """What a broker would retain, and every message that was published."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.retained: dict[str, str] = {}
        self.up = True
        self.figures = FigurePublisher(TOPICS, self._publish)

    def _publish(self, topic: str, payload: bytes) -> bool:
        if self.up:
            name = topic.removeprefix(f"{TOPICS.base}/")
            self.sent.append((name, payload))
            if payload:
                self.retained[name] = payload.decode()
            else:
                self.retained.pop(name, None)
        return self.up

    def take(self, *bands: BandState, after_us: int = 0) -> list[str]:
        before = len(self.sent)
        self.figures.take(MeshState(NOW_US + after_us, bands))
        return [name for name, _ in self.sent[before:]]


def stride(coherence: float = 0.5, **fields: object) -> BandState:
    given = {"name": "stride", "valid": True, "weight": 1.0, "coherence": coherence, "order": 0.25, "mean_field": 0.5j}
    return BandState(**{**given, **fields})  # type: ignore[arg-type]


NONE = BandState(name="stride", valid=False)


def test_figures_are_plain_numbers() -> None:
    board = Board()
    board.take(stride(locking=1.0))
    assert board.retained == {
        "coherence": "0.5000",
        "order": "0.2500",
        "locking": "1.0000",
        "phase": "1.5708",
        "emerged": "false",
        "band/stride/coherence": "0.5000",
        "band/stride/order": "0.2500",
        "band/stride/locking": "1.0000",
        "band/stride/phase": "1.5708",
        "band/stride/emerged": "false",
    }


def test_the_phase_of_a_band_that_was_evaluated_earlier_is_carried_on() -> None:
    board = Board()
    slow = stride(time_us=NOW_US, omega=0.1)
    board.take(slow)
    assert board.retained["band/stride/phase"] == "1.5708"
    assert set(board.take(slow, after_us=2_000_000)) == {"phase", "band/stride/phase"}
    assert board.retained["phase"] == board.retained["band/stride/phase"] == "1.7708"


def test_whether_a_band_has_emerged_is_said_with_it() -> None:
    board = Board()
    board.figures.take(MeshState(NOW_US, (stride(),)), frozenset({"stride"}))
    assert (board.retained["emerged"], board.retained["band/stride/emerged"]) == ("true", "true")
    assert set(board.take(stride())) == {"emerged", "band/stride/emerged"}
    assert board.retained["emerged"] == "false"


def test_only_what_has_changed_is_published() -> None:
    board = Board()
    board.take(stride())
    assert board.take(stride()) == []
    assert board.take(stride(0.500_04)) == []
    assert board.take(stride(0.6)) == ["coherence", "band/stride/coherence"]


def test_what_is_not_defined_any_more_is_taken_back() -> None:
    board = Board()
    board.take(stride(locking=0.9))
    assert set(board.take(stride())) == {"locking", "band/stride/locking"}
    assert "locking" not in board.retained
    board.take(NONE)
    assert board.retained == {}
    assert board.take(NONE) == []


def test_a_phase_of_no_direction_is_not_published() -> None:
    board = Board()
    board.take(stride(0.0, mean_field=0j))
    assert "phase" not in board.retained
    assert "band/stride/phase" not in board.retained
    assert board.retained["coherence"] == "0.0000"


def test_what_a_hub_before_this_one_left_is_taken_back() -> None:
    board = Board()
    board.retained = dict.fromkeys(FIGURES, "0.9") | {f"band/stride/{name}": "0.9" for name in FIGURES}
    board.take(NONE)
    board.take(stride(0.3), after_us=GRACE_US - 1)
    assert board.retained["coherence"] == "0.3000"
    assert board.retained["locking"] == "0.9"  # this hub may still learn it
    board.take(stride(0.3), after_us=GRACE_US)
    assert "locking" not in board.retained
    board.take(NONE, after_us=GRACE_US)
    assert board.retained == {}
    assert board.take(NONE, after_us=2 * GRACE_US) == []


def test_nothing_is_taken_back_that_was_never_there() -> None:
    board = Board()
    board.take(NONE)
    assert board.sent == []


def test_a_figure_that_ended_while_the_broker_was_out_of_reach_is_taken_back() -> None:
    board = Board()
    board.take(stride())
    board.up = False
    board.take(NONE)
    board.up = True
    board.figures.forget()
    board.take(NONE)
    assert board.retained == {}


def test_what_could_not_be_handed_over_is_tried_again() -> None:
    board = Board()
    board.up = False
    board.take(stride())
    assert board.sent == []
    board.up = True
    board.take(stride())
    assert board.retained["coherence"] == "0.5000"
    board.up = False
    board.take(stride(0.6))
    board.up = True
    assert board.take(stride()) == []  # what the broker has is what is true again


def test_after_forgetting_everything_is_published_anew() -> None:
    board = Board()
    board.take(stride())
    board.retained.clear()  # a broker that lost it
    board.figures.forget()
    board.take(stride())
    assert board.retained["coherence"] == "0.5000"


@pytest.mark.parametrize("forgotten", [False, True])
def test_withdrawing_leaves_nothing(forgotten: bool) -> None:
    board = Board()
    board.take(stride(locking=0.5))
    if forgotten:
        board.figures.forget()
    board.figures.withdraw()
    assert board.retained == {}
    count = len(board.sent)
    board.figures.withdraw()
    assert len(board.sent) == count


def test_no_figure_is_minus_zero() -> None:
    board = Board()
    board.take(stride(mean_field=complex(1.0, -1e-9)))
    assert board.retained["phase"] == "0.0000"


@pytest.mark.parametrize("name", FIGURES)
def test_the_overall_figure_combines_the_bands(name: str) -> None:
    board = Board()
    other = BandState(
        name="motion", valid=True, weight=3.0, coherence=0.1, order=0.05, locking=0.2, mean_field=0.1 + 0j
    )
    board.take(stride(locking=1.0), other)
    expected = {"coherence": "0.2000", "order": "0.1000", "locking": "0.4000", "phase": "1.5708"}
    assert board.retained[name] == expected[name]
