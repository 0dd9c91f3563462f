"""The language of rules: what it gives, what it refuses and where, and that nothing else can happen."""

from __future__ import annotations

import ast
import math
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.rules import names
from becomingone.hub.rules.errors import RuleError, Undefined
from becomingone.hub.rules.expression import MAX_DEPTH, MAX_LENGTH, MAX_NODES, UNIT_OF, parse
from becomingone.hub.rules.functions import FUNCTIONS
from becomingone.hub.rules.quiet import zone
from becomingone.hub.rules.view import Scope, Sources, View
from becomingone.wire.command import RANGES

NOW_US = 1_700_000_000_000_000
STRIDE = BandState(
    name="stride",
    valid=True,
    time_us=NOW_US,
    channels=3,
    nodes=2,
    weight=3.0,
    coherence=0.8,
    n_eff=40.0,
    p=0.001,
    order=0.9,
    mean_field=0.3 + 0.4j,
    omega=4.9,
    collapsed=True,
)
EMPTY = BandState(name="motion", valid=False)


def scope(slack: float = 0.0, band: BandState | None = STRIDE, **sources: Any) -> Scope:
    given: dict[str, Any] = {
        "zone": zone("Europe/Berlin"),
        "emerged": lambda: frozenset({"stride"}),
        "pairs": lambda: {"anna-ben": {"stride": {"coherence": 0.25, "cross_p": 0.5, "one": True, "offset": None}}},
        **sources,
    }
    view = View(Sources(Roster(), **given), MeshState(NOW_US, (STRIDE, EMPTY)), time_us=NOW_US, now_ns=0)
    return Scope(view, band, "n", slack)


def number(text: str, **more: Any) -> float:
    return parse(text, "number")(scope(**more))


def truth(text: str, **more: Any) -> bool:
    return bool(parse(text, "truth")(scope(**more)))


def refused(text: str, kind: Any = "number", **more: Any) -> RuleError:
    with pytest.raises(RuleError) as caught:
        parse(text, kind, **more)
    return caught.value


# -- what it gives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 8", 6.5),
        ("-2 ** 2", -4.0),
        ("(1 + 1) ** -1", 0.5),
        ("7 % 3", 1.0),
        ("+.5", 0.5),
        ("1_000", 1000.0),
        ("coherence", 0.8),
        ("order * n_eff / channels", 12.0),
        ("re - im", -0.1),
        ("strength", 0.5),
        ("phase", math.atan2(0.4, 0.3)),
        ("phase(0, -1)", -math.pi / 2),
        ("hz(omega)", 4.9 / (2 * math.pi)),
        ("hue(-pi / 2)", 270.0),
        ("turns(tau)", 0.0),
        ("deg(pi)", 180.0),
        ("rad(90 * 1)", math.pi / 2),
        ("apart(pi, -pi)", 0.0),
        ("apart(pi - 0.1, -pi + 0.1)", 0.2),
        ("clamp(5, 0, 1)", 1.0),
        ("lerp(10, 20, 0.25)", 12.5),
        ("lerp(10, 20, 7)", 20.0),
        ("smoothstep(0, 1, 0.5)", 0.5),
        ("smoothstep(1, 0, 0.25)", 0.84375),
        ("max(1, 2, coherence)", 2.0),
        ("min(order, coherence)", 0.8),
        ("abs(re - 1)", 0.7),
        ("floor(2.9)", 2.0),
        ("sqrt(4) + exp(0) + log(1)", 3.0),
        ("sin(pi / 2) + cos(0)", 2.0),
        ("1 if collapsed else 0", 1.0),
        ("0 if not collapsed else coherence", 0.8),
        ("bands.stride.coherence", 0.8),
        ("bands['stride'].coherence", 0.8),
        ("band('stride').coherence", 0.8),
        ("we('anna-ben').coherence + we('anna-ben').p", 0.75),
        ("hour", 23.0 + 13 / 60 + 20 / 3600),
        ("weekday", 1.0),
        ("cell.coherence", 0.8),
        ("cell.ready", 0.0),
        ("  coherence\n  + 1  ", 1.8),
    ],
)
def test_it_gives(text: str, value: float) -> None:
    assert number(text) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("valid and emerged", True),
        ("not valid or decidable", False),
        ("0.5 < coherence <= 0.8 < 1", True),
        ("1 < coherence < nodes", False),
        ("coherence >= 0.8 and p < 0.01", True),
        ("collapsed == emerged", True),
        ("collapsed != true", False),
        ("channels == 3", True),
        ("bands.motion.valid", False),
        ("bands.unheard.valid", False),
        ("we('anna-ben').one", True),
        ("we('anna-zoe').one", False),
        ("node('kitchen').ready", False),
        ("own.valid", False),
        ("cell.valid", True),
        ("coherence > 0.5 if valid else false", True),
        ("bands.motion.valid and bands.motion.coherence > 0.5", False),
        ("(valid)", True),
    ],
)
def test_it_tells(text: str, value: bool) -> None:
    assert truth(text) is value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 / (re - re)", "division by zero"),
        ("1 % (re - re)", "modulo"),
        ("exp(exp(exp(10)))", "exp has no value there"),
        ("log(re - 1)", "log has no value there"),
        ("sqrt(-order)", "sqrt has no value there"),
        ("(-order) ** 0.5", "a root of a negative number"),
        ("(re - re) ** -1", "power"),
        ("1e12 ** 8 * 1e12 ** 8 * 1e12 ** 8 * 1e12 ** 8", "too large a number"),
        ("(1e12 ** 8) ** 8", "too large"),
        ("phase(re - re, 0)", "0 has no phase"),
        ("smoothstep(1, 1, coherence)", "two different ends"),
        ("locking", "locking is not known yet"),
        ("bands.motion.coherence", "no channel has a phase in motion"),
        ("bands.unheard.order", "no channel has a phase in unheard"),
        ("own.coherence", "n has no phase in the band"),
        ("node('x').silent", "no node x has been heard of"),
        ("we('anna-ben').offset", "the pair anna-ben has no offset just now"),
        ("cell.locking", "the cell has no locking just now"),
    ],
)
def test_what_has_no_value_is_undefined(text: str, says: str) -> None:
    with pytest.raises(Undefined, match=says):
        number(text)


def test_no_time_zone_means_no_time_of_day() -> None:
    with pytest.raises(Undefined, match="time zone"):
        number("hour", zone=None)


def test_a_field_that_cancels_has_no_phase_and_is_0() -> None:
    nothing = BandState(name="stride", valid=True)
    assert number("strength", band=nothing) == 0.0
    with pytest.raises(Undefined, match="there is no phase"):
        number("phase", band=nothing)


@pytest.mark.parametrize(
    ("text", "ease"), [("coherence > 0.85", 0.1), ("not coherence < 0.85", 0.1), ("0.85 < coherence", 0.1)]
)
def test_a_comparison_is_eased_towards_true(text: str, ease: float) -> None:
    assert (truth(text), truth(text, slack=ease)) == (False, True)


# -- what it refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wrong", "says"),
    [
        ("", "", "this is empty"),
        ("coherense", "coherense", "did you mean coherence?"),
        ("1 + valid", "valid", "must be a number, and this is true or false"),
        ("coherence = 1", "=", "== compares"),
        ("coherence # high", "# high", "a comment"),
        ("__import__('os')", "__import__", "there is no function '__import__'"),
        ("().__class__", "()", "figures are those of"),
        ("bands.stride.__class__", "bands.stride.__class__", "a band has no '__class__'"),
        ("bands.stride.coherence.real", "bands.stride.coherence", "figures are those of"),
        ("(1).real", "1", "figures are those of"),
        ("bands['a b'].order", "'a b'", "a name is 1 to 63"),
        ("bands[order].order", "bands[order]", "figures are those of"),
        ("node('kitchen')", "node('kitchen')", "is followed by a figure"),
        ("node(kitchen).phase", "node(kitchen)", "figures are those of"),
        ("bands", "bands", "does not stand alone"),
        ("sin", "sin", "does not stand alone"),
        ("lambda: 1", "lambda: 1", "has no meaning here"),
        ("[order for x in y]", "[order for x in y]", "has no meaning here"),
        ("(yield)", "yield", "has no meaning here"),
        ("(x := 1)", "x := 1", "has no meaning here"),
        ("f'{order}'", "f'{order}'", "has no meaning here"),
        ("'text'", "'text'", "must be a number"),
        ("b'x'", "b'x'", "must be a number"),
        ("1j", "1j", "must be a number"),
        ("None", "None", "must be a number"),
        ("...", "...", "must be a number"),
        ("1e999", "1e999", "must be a number of at most"),
        ("9" * 400, "9" * 400, "must be a number of at most"),
        ("2 ** order", "order", "an exponent is a written number"),
        ("2 ** 9", "9", "an exponent is a written number, from -8 to 8"),
        ("7 // 2", "7 // 2", "this operator has no meaning"),
        ("1 << 3", "1 << 3", "this operator has no meaning"),
        ("order & 1", "order & 1", "write and"),
        ("~order", "~order", "write not"),
        ("sin(1, 2)", "sin(1, 2)", "sin is written sin(angle)"),
        ("max(1)", "max(1)", "max is written"),
        ("max(*order)", "max(*order)", "max is written"),
        ("abs(x=1)", "x=1", "without names"),
        ("abs(valid)", "valid", "must be a number"),
        ("phase + omega", "phase + omega", "in rad and what is in rad/s"),
        ("max(phase, omega)", "max(phase, omega)", "must be of one kind"),
        ("hue(omega)", "hue(omega)", "takes what is in rad, not in rad/s"),
        ("sqrt(omega)", "sqrt(omega)", "takes a plain number"),
        ("omega ** 0.5", "omega ** 0.5", "no power of 0.5"),
        ("phase if valid else omega", "phase if valid else omega", "both must be of one kind"),
        ("1 if order else 2", "order", "must be true or false"),
        ("coh€rence", "€", "'€' has no meaning here"),
        ("order\0", "\0", "has no meaning here"),
        ("order; 1", ";", "is no expression"),
        ("(order", "(", "is no expression"),
    ],
)
def test_it_refuses_with_the_place(text: str, wrong: str, says: str) -> None:
    error = refused(text)
    assert says in str(error)
    assert error.start == (text.rindex(wrong) if wrong else 0)
    assert text[error.start : error.end] == wrong or says == "is no expression"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("order", "must be true or false, such as coherence > 0.75, and this is a number"),
        ("valid and order", "must be true or false, and this is a number"),
        ("order is 1", "this comparison has no meaning"),
        ("order in (1, 2)", "has no meaning here"),
        ("valid > collapsed", "has no order"),
        ("valid == 1", "compares a number with what is true or false"),
        ("phase > omega", "compares what is in rad and in rad/s"),
        ("valid && collapsed", "write and for &&"),
        ("!valid", "write not for !"),
        ("valid || collapsed", "write or for ||"),
    ],
)
def test_a_condition_is_true_or_false(text: str, says: str) -> None:
    assert says in str(refused(text, "truth"))


def test_the_message_marks_the_place_on_one_line_and_the_caret_stands_below_it() -> None:
    error = refused("0.2 + 0.8 * coherense")
    assert str(error) == (
        "column 13: 'coherense' is not known; did you mean coherence?; here: 0.2 + 0.8 * >>coherense<<"
    )
    assert error.caret == "0.2 + 0.8 * coherense\n            ^^^^^^^^^"


@pytest.mark.parametrize(
    ("value", "text", "says"),
    [
        ("hue", "phase", "hue cannot be in rad; hue(angle) turns an angle into degrees"),
        ("hue", "omega", "hue cannot be in rad/s"),
        ("frequency", "omega", "hz(omega) turns rad/s into Hz"),
        ("brightness", "phase / 6", "brightness cannot be in rad"),
        ("velocity", "node('x').silent", "velocity cannot be in s"),
        ("brightness", "valid", "must be a number"),
    ],
)
def test_a_value_has_its_unit(value: str, text: str, says: str) -> None:
    assert says in str(refused(text, value=value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("hue", "hue(phase)"),
        ("hue", "360 * (1 + re) / 2"),
        ("hue", "120"),
        ("frequency", "440 * (1 + order)"),
        ("frequency", "100 * hz(omega)"),
        ("brightness", "(phase + pi) / tau"),
        ("rotation", "sin(phase) * strength"),
    ],
)
def test_a_plain_number_and_the_right_unit_are_taken(value: str, text: str) -> None:
    assert math.isfinite(parse(text, "number", value=value)(scope()))


def test_the_units_are_those_of_the_values() -> None:
    assert set(UNIT_OF) == {name for ranges in RANGES.values() for name in ranges}


def test_its_size_is_bounded() -> None:
    assert f"at most {MAX_LENGTH} characters" in str(refused("1 + " * 200 + "1"))
    assert "levels deep" in str(refused("-" * (MAX_DEPTH + 1) + "1"))
    assert "parts" in str(refused("max(" + ",".join(["1+1-1"] * 45) + ")"))
    assert number("(" * 100 + "1" + ")" * 100) == 1.0


def test_what_it_looks_at_is_known() -> None:
    uses = parse("bands.motion.order + own.coherence * hour + re", "number").uses
    assert (uses.bands, uses.band, uses.own, uses.clock) == ({"motion"}, True, True, True)
    assert not parse("bands.motion.order", "number").uses.band


def test_all_names_and_functions_have_a_meaning_for_people() -> None:
    for table in (names.BAND, names.NODE, names.CELL, names.WE, names.CLOCK):
        assert all(name.meaning for name in table.values())
    assert all(function.signature.startswith(f"{name}(") for name, function in FUNCTIONS.items())
    assert not set(names.BAND) & (set(names.CLOCK) | set(names.CONSTANTS))


# -- whatever is written -----------------------------------------------------------------------------------------------

WORDS = [
    *names.BAND,
    *names.CLOCK,
    *names.CONSTANTS,
    *FUNCTIONS,
    "bands.stride.order",
    "node('x').coherence",
    "own.phase",
    "we('anna-ben').p",
    "cell.order",
    "and",
    "or",
    "not",
    "if",
    "else",
    "lambda",
    "in",
    "is",
    "await",
    "**",
    *"+-*/%<>=()[]{},.:;'\"\\#@~^&|!0123456789e_ \n\t",
    "1e308",
    "0.0",
    "-0.0",
]
SOUP = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.lists(st.sampled_from(WORDS)).map("".join)


def taken_or_refused(text: str, kind: Any) -> None:
    """Whatever it is: a RuleError with a place within the text, or an expression with a finite value or none."""
    wrong: RuleError | None = None
    try:
        expression = parse(text, kind)
    except RuleError as error:
        wrong = error
    if wrong is not None:
        assert 0 <= wrong.start <= len(text)
        assert "\n" not in str(wrong)
        assert wrong.caret.count("\n") == 1
        return
    for slack in (0.0, 0.1):
        try:
            value = expression(scope(slack))
        except Undefined:
            continue
        assert isinstance(value, float)
        assert math.isfinite(value)


@given(SOUP, st.sampled_from(["truth", "number"]))
@example("0" * 500, "number")
@example("1if valid else 2", "number")
@example("0x1for x in", "number")
@example("'\\d' == 1", "truth")
@example("(((" * 100, "number")
@example("{" * 500, "number")
@example("not " * 120 + "valid", "truth")
@settings(max_examples=250, deadline=None)
def test_a_soup_of_its_words_is_taken_or_refused(text: str, kind: Any) -> None:
    taken_or_refused(text, kind)


@given(st.text(max_size=60), st.sampled_from(["truth", "number"]))
@settings(max_examples=150, deadline=None)
def test_any_text_is_taken_or_refused(text: str, kind: Any) -> None:
    taken_or_refused(text, kind)


NUMBERS = st.sampled_from(["0", "1", "-1", "1e12", "1e-12", "coherence", "re", "im", "p", "order", "n_eff", "weight"])
MADE = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, st.integers(-8, 8)).map(lambda t: f"({t[0]}) ** {t[1]}"),
        st.tuples(st.sampled_from(["abs", "exp", "log", "sqrt", "floor", "sin"]), inner).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} < {t[2]} else {t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"smoothstep({t[0]}, {t[1]}, {t[2]})"),
    ),
    max_leaves=12,
)


@given(MADE)
@settings(max_examples=250, deadline=None)
def test_arithmetic_is_finite_or_undefined(text: str) -> None:
    taken_or_refused(text, "number")


def test_the_worst_that_is_taken_is_quick() -> None:
    """Bounded time: the largest expressions cost a few hundred steps, whatever stands in them."""
    nested = "sqrt(exp(log(" * 9 + "1e12" + ")))" * 9
    long = "+".join(["re"] * (MAX_DEPTH - 2))
    for text in (nested, long, " or ".join(["p < 0"] * 30)):
        expression = parse(text, "truth" if "or" in text else "number")
        assert sum(isinstance(node, ast.expr) for node in ast.walk(ast.parse(text))) <= MAX_NODES
        here = scope()
        begun = time.perf_counter()
        for _ in range(1000):
            expression(here)
        assert time.perf_counter() - begun < 5.0  # 5 ms each would be a hundred times what it takes
