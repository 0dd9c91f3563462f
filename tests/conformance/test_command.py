"""`scripts/conformance`: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

from . import __main__ as command
from . import differences, suite, table
from .behaviour import DiffersError, Verdict, behaviour
from .fabrics import Mosquitto
from .suite import BEHAVIOURS

MANUAL = Path(__file__).parents[2] / "docs" / "brokers.md"


@behaviour("4.6")
def it_works(stage):
    link, heard = stage.listener(stage.topic("a"))
    link.publish(stage.topic("a"), b"!")
    stage.expect(lambda: heard, "it does not")


@behaviour("4.8", needs=("crash",))
def it_falls(stage):
    """Never asked of a broker of somebody else's."""


@behaviour("")
def it_flies(stage):
    raise DiffersError("it swims")


@behaviour("", minor=True)
def it_sings(stage):
    raise DiffersError("it barks")


def _stumble(stage):
    raise DiffersError("it stumbles")


@behaviour("", prepare=_stumble)
def it_walks(stage, begun):
    """Never gets so far."""


@pytest.fixture
def few(monkeypatch):
    """A suite of its own."""

    def use(*behaviours):
        monkeypatch.setattr(suite, "BEHAVIOURS", behaviours)
        monkeypatch.setattr(command, "BEHAVIOURS", behaviours)

    return use


def test_a_broker_of_ours_is_judged_by_what_is_known_of_it(few, capsys):
    few(it_works)
    assert command.main(["--broker", "simulated"]) == 0
    assert "simulated 5: as known" in capsys.readouterr().out
    few(it_works, it_flies)
    assert command.main(["--broker", "simulated"]) == 1
    out = capsys.readouterr().out
    assert "simulated: it swims -- NEW: what is known is yes" in out
    assert "simulated: NOT what is known of it" in out


def test_a_difference_that_no_longer_shows_is_told(few, capsys, monkeypatch):
    few(it_works)
    stale = differences.Difference(it_works.says, "it does not", "we are used to it")
    monkeypatch.setitem(differences.DIFFERENCES, "simulated", (stale,))
    assert command.main(["--broker", "simulated"]) == 1
    assert "simulated: it does -- NEW: what is known is no, it does not" in capsys.readouterr().out


def test_json_says_everything(few, capsys):
    few(it_works, it_sings)
    assert command.main(["--broker", "simulated", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["brokers"]["simulated"]
    assert told["missing"] == []
    assert told["behaviours"] == [
        {"behaviour": "it works", "clause": "4.6", "verdict": "yes", "reason": "", "needed": True, "new": False},
        {"behaviour": "it sings", "clause": "", "verdict": "no", "reason": "it barks", "needed": False, "new": True},
    ]


def test_a_difference_may_show_before_the_wait_and_a_failed_question_counts(few, capsys):
    @behaviour("")
    def it_is_asked_badly(stage):
        raise AssertionError("what was the question?")

    few(it_walks, it_is_asked_badly)
    assert command.main(["--broker", "simulated"]) == 1
    out = capsys.readouterr().out
    assert "simulated: it stumbles" in out
    assert "simulated: the question failed: what was the question?" in out


@pytest.mark.mosquitto
def test_a_broker_of_a_user_is_fit_when_it_does_what_is_needed(few, capsys):
    theirs = Mosquitto()
    try:
        few(it_works, it_falls, it_sings)
        assert command.main(["--broker", theirs.url, "--protocol", "5"]) == 0
        out = capsys.readouterr().out
        assert f"127.0.0.1:{theirs.port}, 5: fit for BecomingONE" in out
        assert "it is not ours to kill" in out
        few(it_works, it_flies)
        assert command.main(["--broker", theirs.url]) == 1
        out = capsys.readouterr().out
        assert f"127.0.0.1:{theirs.port}, 3.1.1: NOT fit for BecomingONE, which needs: it flies" in out
    finally:
        theirs.close()
    assert command.main(["--broker", theirs.url]) == 2
    assert capsys.readouterr().err == f"conformance: 127.0.0.1:{theirs.port}: Connection refused\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--broker", "nonsense"], "--broker: 'nonsense' is none of simulated, embedded, mosquitto and no mqtt://host"),
        (["--broker", "http://x"], "url: Value error, must be mqtt://host"),
        (["--broker", "mqtt://x", "--ca", "a.pem"], "ca: is used with TLS only"),
    ],
)
def test_what_cannot_be_asked_is_one_line(words, line, capsys):
    assert command.main(words) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


def test_the_manual_has_the_tables_that_are_known(capsys):
    assert command.main(["--markdown"]) == 0
    tables = capsys.readouterr().out
    assert tables.splitlines() == table.as_markdown(BEHAVIOURS)
    for broker in differences.DIFFERENCES:
        for one in suite.asked_of(broker):
            assert (differences.expected(broker, one).verdict is Verdict.NO) == bool(differences.known(broker, one))
    _, _, rest = MANUAL.read_text("utf-8").partition("<!-- begin: scripts/conformance --markdown -->\n")
    assert rest.partition("<!-- end -->")[0] == tables, (
        "docs/brokers.md: put in what scripts/conformance --markdown says"
    )
