"""The sound card's clock."""

import itertools
import random

import pytest

from becomingone.node.audio import BlockTimer

BLOCK = 20_000_000


def test_bursts_of_blocks_are_timed_evenly() -> None:
    """PulseAudio hands over two or three blocks at once and then none for a while (seen: up to 40 ms off)."""
    rng = random.Random(1)
    timer = BlockTimer(BLOCK)
    true = [1_000_000_000 + number * BLOCK for number in range(3_000)]
    measured = [time + rng.choice([0, 0, 0, 20_000_000, 40_000_000]) for time in true]
    given = [timer.start_ns(time, interrupted=False) for time in measured]
    steps = [after - before for before, after in itertools.pairwise(given[500:])]
    assert max(abs(step - BLOCK) for step in steps) < 2_000_000
    late = [g - t for g, t in zip(given[500:], true[500:], strict=True)]
    assert max(late) - min(late) < 15_000_000  # of 40 ms of jitter


def test_a_sound_card_that_runs_fast_is_followed() -> None:
    timer = BlockTimer(BLOCK)
    true = [round(number * BLOCK * (1 - 200e-6)) for number in range(6_000)]  # 200 ppm: a poor crystal
    given = [timer.start_ns(time, interrupted=False) for time in true]
    assert abs(given[-1] - true[-1]) < 100_000


@pytest.mark.parametrize("interrupted", [True, False])
def test_an_interruption_starts_anew(interrupted: bool) -> None:
    timer = BlockTimer(BLOCK)
    for number in range(10):
        timer.start_ns(number * BLOCK, interrupted=False)
    later = 10 * BLOCK + (30_000_000 if interrupted else 300_000_000)
    assert timer.start_ns(later, interrupted=interrupted) == later


def test_a_delay_that_was_told_wrongly_at_the_beginning_is_soon_forgotten() -> None:
    """PulseAudio tells 0.3 s too much of a stream that begins, and takes it back within half a second (seen)."""
    timer = BlockTimer(BLOCK)
    told = [number * BLOCK - max(0, 290_000_000 - max(0, number - 18) * BLOCK) for number in range(100)]
    given = [timer.start_ns(time, interrupted=False) for time in told]
    assert max(abs(g - number * BLOCK) for number, g in enumerate(given) if number >= 75) < 5_000_000


@pytest.mark.parametrize("step", [-60_000_000, 60_000_000])
def test_a_step_is_followed_after_half_a_second_and_jitter_is_not(step: int) -> None:
    timer = BlockTimer(BLOCK)
    for number in range(100):
        timer.start_ns(number * BLOCK + (step if number % 3 == 0 else 0), interrupted=False)
    settled = [timer.start_ns(number * BLOCK + step, interrupted=False) for number in range(100, 130)]
    assert settled[-1] == pytest.approx(129 * BLOCK + step, abs=1_000_000)
