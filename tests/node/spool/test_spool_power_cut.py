"""Power cuts and kills at every place of a life: nothing corrupt, nothing lost that was synced or accepted."""

import copy
import random

import pytest

from becomingone.node.spool import log

from .workload import SEGMENT, check, cuts, live

STEP = 5
"""Of so many instants one is looked at here; the campaign looks at each byte."""

LIVES = {
    "several segments": {"frames": 160},
    "more than there is room for": {"frames": 300, "acknowledged": 0.0},
    "large frames": {"frames": 25, "sizes": (100, 9_000, 30_000)},
}


@pytest.fixture(autouse=True)
def small_segments(mocker):
    mocker.patch.object(log, "SEGMENT_BYTES", (SEGMENT, 1 << 20))


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("how", ["none", "all", "some", "garbage"])
def test_a_power_cut_loses_nothing_that_was_synced(life, how):
    journal = live(**LIVES[life])
    assert sum(operation[0] == "rename" for operation in journal) > 3
    rng = random.Random(how)
    number = 0
    for disk, known in cuts(journal, every=1_009):
        number += 1
        if number % STEP == 0:
            check(disk.after_power_cut(how, rng), known, known.synced, go_on=number % (7 * STEP) == 0)
    assert number > 20 * STEP
    assert len(known.accepted - known.synced) <= 20, "at most what two batches hold is not synced"


@pytest.mark.parametrize("life", LIVES)
def test_a_kill_loses_nothing_that_was_accepted(life):
    number = 0
    for disk, known in cuts(live(**LIVES[life]), every=1_009):
        number += 1
        if number % STEP == 0:
            check(disk.after_kill(), known, known.accepted, go_on=number % (7 * STEP) == 0)
    assert number > 20 * STEP


def test_a_cut_within_a_record_loses_at_most_that_record():
    """Every byte of one batch and a half."""
    journal = live(frames=15, sizes=(100,))
    rng = random.Random(1)
    for disk, known in cuts(journal):
        check(disk.after_kill(), known, known.accepted)
        check(disk.after_power_cut("some", rng), known, known.synced)


def test_power_cuts_one_after_the_other_lose_nothing_that_was_synced():
    """A life that ends in a cut is begun again on what is left, twenty times."""
    rng = random.Random(5)
    for _ in range(3):
        journal = live(frames=60, seed=rng.randrange(1 << 30), acknowledged=0.2)
        disk, known = rng.choice(list(cuts_of(journal, rng, 5)))
        for _ in range(20):
            disk = disk.after_power_cut(rng.choice(["none", "all", "some", "garbage"]), rng)
            check(disk, known, known.synced)


def cuts_of(journal, rng, count):
    """A few instants of a life, each with a copy of the disk."""
    for number, (disk, known) in enumerate(cuts(journal, every=997)):
        if number % 50 == 49:
            yield disk.after_kill(), copy.deepcopy(known)
