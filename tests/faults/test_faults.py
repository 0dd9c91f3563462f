"""The fault table in small: every case that is short enough for the ordinary suite, and the table itself."""

from __future__ import annotations

import json
import math

import pytest

from . import __main__ as program
from . import table
from .cases import CASES
from .outcome import Case, Figure, NotRunError, Outcome, at_least, at_most, exactly, quantile, told

QUICK = ("clock-step", "garbage", "sensor-raises", "state-read-only", "spool-kills")
NEEDS_MOSQUITTO = {"sensor-raises", "state-read-only"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow, *([pytest.mark.mosquitto] if name in NEEDS_MOSQUITTO else [])])
        for name in QUICK
    ],
)
def test_it_keeps_its_bounds(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    try:
        outcome = case.run(True)
    except NotRunError as error:
        pytest.skip(str(error))
    assert outcome.ok, "\n".join(table.as_text({case: outcome}))


def test_the_names_are_different_and_can_be_typed() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and " " not in name for name in names)


def _case(outcome: Outcome | Exception) -> Case:
    def run(quick: bool) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return Case("one", "something breaks", run)


FINE = Outcome(3, [exactly("lost", 0, 0), told("back after", 0.25, "s")])


@pytest.mark.parametrize(
    ("outcome", "code", "says"),
    [
        (FINE, 0, "yes"),
        (Outcome(3, [exactly("lost", 1, 0)]), 1, "NO"),
        (Outcome(3, [at_most("back after", math.nan, 1.0)]), 1, "NO"),
        (Outcome(0, [exactly("lost", 0, 0)]), 1, ""),
        (Outcome(3, []), 1, ""),
        (NotRunError("there is no Mosquitto"), 0, "not run: there is no Mosquitto"),
        (RuntimeError("it broke"), 1, "BROKE OFF: RuntimeError: it broke"),
    ],
)
def test_the_exit_code_tells_whether_a_bound_is_missed(
    outcome: Outcome | Exception, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main([], [_case(outcome)]) == code
    assert says in capsys.readouterr().out
    assert program.main(["--json"], [_case(outcome)]) == code
    (said,) = json.loads(capsys.readouterr().out)["faults"]
    assert said["ok"] is (None if isinstance(outcome, Exception) else code == 0)


def test_only_what_is_asked_for_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    other = Case("other", "another breaks", _case(RuntimeError()).run)
    assert program.main(["--only", "one"], [_case(FINE), other]) == 0
    out = capsys.readouterr().out
    assert "something breaks" in out
    assert "another" not in out
    with pytest.raises(SystemExit):
        program.main(["--only", "nothing"], [other])


@pytest.mark.parametrize(
    ("figure", "ok"),
    [
        (exactly("", 1, 1), True),
        (exactly("", 0.9, 1), False),
        (at_most("", 1, 1), True),
        (at_most("", 1.1, 1), False),
        (at_least("", 1, 1), True),
        (at_least("", 0.9, 1), False),
        (told("", math.inf), True),
    ],
)
def test_a_bound_is_kept_or_not(figure: Figure, ok: bool) -> None:
    assert figure.ok is ok


def test_quantiles() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert math.isnan(quantile([], 0.5))
