"""Expressions of rules: a small part of Python, parsed by Python's own parser, checked, and made into closures.

Nothing of the text is ever executed by Python. What is not known here is refused when the expression is read, with
the place; what has no value (a division by zero, a phase that is not there) is `Undefined` when it is evaluated, and
never a NaN or an infinity. An expression has no loops and is bounded in size, so that its time is.

References
----------
.. [1] Python's abstract grammar, https://docs.python.org/3/library/ast.html#abstract-grammar
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from becomingone.hub.rules.build import compiled
from becomingone.hub.rules.errors import RuleError, Undefined
from becomingone.hub.rules.parts import Part, Uses
from becomingone.hub.rules.units import DEGREE, FREE, HERTZ, PLAIN, Unit, spelled
from becomingone.hub.rules.view import Scope

MAX_LENGTH: Final = 500
"""Characters of an expression."""

MAX_NODES: Final = 200
"""Numbers, names, operations and calls in an expression."""

MAX_DEPTH: Final = 60
"""Levels of an expression."""

Kind: TypeAlias = Literal["truth", "number"]

UNIT_OF: Final[dict[str, Unit]] = {
    "hue": DEGREE,
    "brightness": PLAIN,
    "frequency": HERTZ,
    "volume": PLAIN,
    "velocity": PLAIN,
    "rotation": PLAIN,
}
"""The unit of each value that an output takes."""

_HINTS: Final[dict[str, str]] = {
    "hue": "hue(angle) turns an angle into degrees",
    "frequency": "hz(omega) turns rad/s into Hz",
    "brightness": "turns(angle) makes an angle a plain number",
    "volume": "turns(angle) makes an angle a plain number",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that has been checked.

    Parameters
    ----------
    text : str
        As it was written.
    kind : str
        ``truth`` or ``number``.
    unit : tuple of int or None
        Of a number; None where it is a written one.
    uses : Uses
        What it looks at.
    """

    text: str
    kind: Kind
    unit: Unit
    uses: Uses
    _run: Callable[[Scope], float]

    def __call__(self, scope: Scope) -> float:
        """Evaluate; a truth is 1.0 or 0.0.

        Raises
        ------
        Undefined
            It has no value just now; a result that is not finite is none.
        """
        try:
            value = self._run(scope)
        except (ValueError, OverflowError, ZeroDivisionError) as error:
            raise Undefined(f"{error}") from None
        if not math.isfinite(value):
            raise Undefined("the result is not finite")
        return float(value)


def parse(text: str, kind: Kind, *, value: str | None = None) -> Expression:
    """Read an expression.

    Parameters
    ----------
    text : str
        The expression.
    kind : str
        What it must give.
    value : str, optional
        The output's value that it is for: decides what unit it may have.

    Raises
    ------
    RuleError
        With the place and what would be right.
    """
    tree = _tree(text)
    uses = Uses()
    part = compiled(text, tree, uses)
    if part.kind != kind:
        wanted = "true or false, such as coherence > 0.75" if kind == "truth" else "a number"
        raise RuleError(text, *_span(tree), f"must be {wanted}, and this is {_told(part)}")
    wanted_unit = UNIT_OF[value] if value is not None else FREE
    if value is not None and part.unit not in (FREE, PLAIN, wanted_unit):
        hint = f"; {_HINTS[value]}" if value in _HINTS else ""
        raise RuleError(text, *_span(tree), f"{value} cannot be {spelled(part.unit)}{hint}")
    return Expression(text, kind, part.unit, uses, part.run)


def _told(part: Part) -> str:
    return "true or false" if part.kind == "truth" else "a number"


def _tree(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise RuleError(text, MAX_LENGTH, len(text), f"must have at most {MAX_LENGTH} characters, not {len(text)}")
    for place, letter in enumerate(text):
        if not (letter.isascii() and (letter.isprintable() or letter in "\t\n")):
            raise RuleError(text, place, place + 1, f"{letter!r} has no meaning here")
    body = text.replace("\n", " ").replace("\t", " ")
    lead = len(body) - len(body.lstrip())
    if lead == len(body):
        raise RuleError(text, 0, 1, "must be an expression, such as coherence > 0.75; this is empty")
    if "#" in body:
        raise RuleError(text, body.index("#"), len(body), "a comment has no place here")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(body.lstrip(), mode="eval").body
    except SyntaxError as error:
        start = (error.offset or 1) - 1 + lead
        raise RuleError(text, start, start + 1, _syntax(error, body, start)) from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise RuleError(text, 0, len(text), f"cannot be read: {error or type(error).__name__}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            node.col_offset += lead
            node.end_col_offset = (node.end_col_offset or node.col_offset - lead) + lead
    _within(text, tree)
    return tree


def _syntax(error: SyntaxError, body: str, start: int) -> str:
    """Say what Python's parser found, and what people mostly mean."""
    rest = body[start : start + 2] or ""
    if rest[:1] == "=" and rest != "==":
        return "'=' has no meaning here; == compares"
    around = body[max(0, start - 1) : start + 2]
    for written, meant in (("&&", "and"), ("||", "or"), ("!", "not")):
        if written in around:
            return f"write {meant} for {written}"
    return f"is no expression: {error.msg}"


def _within(text: str, tree: ast.expr) -> None:
    count = 0
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise RuleError(text, 0, len(text), f"must be nested at most {MAX_DEPTH} levels deep")
        below: list[ast.AST] = []
        for node in level:
            count += isinstance(node, ast.expr)
            below += ast.iter_child_nodes(node)
        level = below
    if count > MAX_NODES:
        raise RuleError(text, 0, len(text), f"must have at most {MAX_NODES} parts, not {count}; make it two rules")


def _span(node: ast.expr) -> tuple[int, int]:
    return node.col_offset, node.end_col_offset or node.col_offset + 1
