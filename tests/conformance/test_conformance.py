"""The same questions to every broker: what is known of each is what it does, and nothing else."""

from __future__ import annotations

import pytest

from .behaviour import Verdict
from .differences import DIFFERENCES, LACKS, expected
from .fabric import CAPABILITIES
from .fabrics import OURS
from .suite import BEHAVIOURS, Run, asked_of

BY_NAME = {behaviour.says: behaviour for behaviour in BEHAVIOURS}


def _cases():
    for make in OURS:
        marks = [pytest.mark.mosquitto] if make.name.startswith("mosquitto") else []
        for behaviour in asked_of(make.name):
            yield pytest.param(make, behaviour, marks=marks, id=f"{make.name}-{behaviour.says}")


class Standing:
    """The broker that is being asked: each is started once."""

    def __init__(self):
        self._run = None

    def run(self, make):
        if self._run is None or type(self._run.fabric) is not make:
            self.close()
            self._run = Run(make, asked_of(make.name))
        return self._run

    def close(self):
        if self._run is not None:
            run, self._run = self._run, None
            run.close()


@pytest.fixture(scope="module")
def standing():
    made = Standing()
    yield made
    made.close()


@pytest.mark.parametrize(("make", "behaviour"), list(_cases()))
def test_a_broker_does_what_is_known_of_it(standing, make, behaviour):
    assert standing.run(make).ask(behaviour) == expected(make.name, behaviour)


def test_every_difference_and_every_lack_is_about_something():
    assert set(DIFFERENCES) == set(LACKS) == {make.name for make in OURS}
    for broker, differences in DIFFERENCES.items():
        asked = {behaviour.says: behaviour for behaviour in asked_of(broker)}
        for difference in differences:
            assert expected(broker, asked[difference.behaviour]).verdict is Verdict.NO
            assert difference.instead
            assert difference.because
        needed = {need for behaviour in asked.values() for need in behaviour.needs}
        assert set(LACKS[broker]) <= needed & set(CAPABILITIES)


def test_every_behaviour_has_a_sentence_of_its_own_and_a_clause_where_the_standard_has_one():
    assert len(BY_NAME) == len(BEHAVIOURS)
    assert {need for behaviour in BEHAVIOURS for need in behaviour.needs} == set(CAPABILITIES)
