"""From the parts of an expression to closures, each checked for what it is: a truth or a number, and of which unit."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from typing import Final, Literal

from becomingone.hub.rules import names
from becomingone.hub.rules.closures import Run, Test, applied, combined, compared, raised
from becomingone.hub.rules.errors import RuleError
from becomingone.hub.rules.functions import FUNCTIONS
from becomingone.hub.rules.parts import ARITHMETIC, EQUAL, ORDER, Part, Uses
from becomingone.hub.rules.units import FREE, PLAIN, Unit, agreed, power, product, spelled
from becomingone.wire.topics import NAME

MAX_NUMBER: Final = 1e12
"""The greatest number that may be written."""

MAX_POWER: Final = 8.0
"""The greatest exponent; it must be a written number."""


_MEANT: Final[dict[type[ast.operator], str]] = {
    ast.BitAnd: "; write and",
    ast.BitOr: "; write or",
    ast.BitXor: "; write **",
}
_TABLES: Final = {"band": names.BAND, "node": names.NODE, "we": names.WE}
_OWN: Final = "own"


def compiled(text: str, tree: ast.expr, uses: Uses) -> Part:
    """Check an expression and make it a closure; `uses` learns what it looks at.

    Raises
    ------
    RuleError
        With the place.
    """
    return _Builder(text, uses).part(tree, 1)


class _Builder:
    def __init__(self, text: str, uses: Uses) -> None:
        self._text = text
        self._uses = uses

    def part(self, node: ast.expr, sign: int) -> Part:  # noqa: PLR0911 - one line for each kind of part
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._figure(node)
            case ast.UnaryOp():
                return self._unary(node, sign)
            case ast.BinOp():
                return self._binary(node, sign)
            case ast.BoolOp():
                return self._logical(node, sign)
            case ast.Compare():
                return self._comparison(node, sign)
            case ast.IfExp():
                return self._choice(node, sign)
            case ast.Call():
                return self._call(node)
            case _:
                raise self._wrong(node, "has no meaning here; see the page on rules for what has")

    def _wrong(self, node: ast.expr | ast.keyword, problem: str) -> RuleError:
        return RuleError(self._text, node.col_offset, node.end_col_offset or node.col_offset + 1, problem)

    def _number(self, node: ast.expr, sign: int = 0) -> Part:
        part = self.part(node, sign)
        if part.kind != "number":
            raise self._wrong(node, "must be a number, and this is true or false; write (1 if it else 0)")
        return part

    def _truth(self, node: ast.expr, sign: int) -> Part:
        part = self.part(node, sign)
        if part.kind != "truth":
            raise self._wrong(node, "must be true or false, and this is a number; compare it with something")
        return part

    def _constant(self, node: ast.Constant) -> Part:
        value = node.value
        if isinstance(value, bool):
            return _fixed(float(value), "truth")
        if not isinstance(value, int | float) or not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise self._wrong(node, f"must be a number of at most {MAX_NUMBER:g}")
        return _fixed(float(value), "number")

    def _name(self, node: ast.Name) -> Part:
        if node.id in names.CONSTANTS:
            name, value = names.CONSTANTS[node.id]
            return Part(lambda _scope: value, "truth" if name.truth else "number", name.unit)
        if node.id in names.CLOCK:
            self._uses.clock = True
            return Part(names.read_clock(node.id), "number", names.CLOCK[node.id].unit)
        if node.id in names.BAND:
            self._uses.band = True
            self._uses.figures |= node.id not in names.SETTLED
            return _named(names.BAND[node.id], names.read_band(node.id, None))
        known = [*names.CONSTANTS, *names.CLOCK, *names.BAND, *FUNCTIONS, "bands", "node", "own", "we", "cell"]
        if node.id in known:
            raise self._wrong(node, f"{node.id} does not stand alone, as in {_EXAMPLES.get(node.id, f'{node.id}(x)')}")
        raise self._wrong(node, f"{node.id!r} is not known{_nearest(node.id, known)}")

    # -- figures of something that is named ------------------------------------------------------------------------

    def _figure(self, node: ast.Attribute) -> Part:
        of, name = self._owner(node.value)
        table = names.CELL if of == "cell" else names.NODE if of == _OWN else _TABLES[of]
        found = table.get(node.attr)
        if found is None:
            hint = _nearest(node.attr, table) or f"; known: {', '.join(table)}"
            raise self._wrong(node, f"a {'node' if of == _OWN else of} has no {node.attr!r}{hint}")
        if of == "cell":
            self._uses.figures |= node.attr != "ready"
            return _named(found, names.read_cell(node.attr))
        if of == "band":
            self._uses.bands.add(name)
            return _named(found, names.read_band(node.attr, name))
        self._uses.band = True
        if of == "we":
            return _named(found, names.read_we(node.attr, name))
        self._uses.own |= of == _OWN
        self._uses.nodes.add("" if of == _OWN else name)
        return _named(found, names.read_node(node.attr, None if of == _OWN else name))

    def _owner(self, node: ast.expr) -> tuple[str, str]:
        """Give what a figure is of: ``band``, ``node``, ``we``, ``cell`` or ``own``, and its name."""
        match node:
            case ast.Name(id="own" | "cell" as of):
                return of, ""
            case ast.Attribute(value=ast.Name(id="bands"), attr=name):
                return "band", name
            case ast.Subscript(value=ast.Name(id="bands"), slice=ast.Constant(value=str(name)) as given):
                return "band", self._level(given, name)
            case ast.Call(
                func=ast.Name(id="band" | "node" | "we" as of),
                args=[ast.Constant(value=str(name)) as given],
                keywords=[],
            ):
                return of, self._level(given, name)
            case _:
                raise self._wrong(
                    node,
                    "figures are those of bands.<name>, bands['<name>'], node('<name>'), we('<name>'), own and cell",
                )

    def _level(self, node: ast.expr, name: str) -> str:
        if not NAME.fullmatch(name):
            raise self._wrong(node, "a name is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter or digit")
        return name

    # -- operators -------------------------------------------------------------------------------------------------

    def _unary(self, node: ast.UnaryOp, sign: int) -> Part:
        if isinstance(node.op, ast.Not):
            truth = self._truth(node.operand, -sign).run
            return Part(lambda scope: float(not truth(scope)), "truth")
        if isinstance(node.op, ast.Invert):
            raise self._wrong(node, "~ has no meaning here; write not")
        part = self._number(node.operand)
        if isinstance(node.op, ast.UAdd):
            return part
        run = part.run
        written = None if part.written is None else -part.written
        return Part(lambda scope: -run(scope), "number", part.unit, written)

    def _binary(self, node: ast.BinOp, _sign: int) -> Part:
        if type(node.op) not in ARITHMETIC:
            hint = _MEANT.get(type(node.op), "")
            raise self._wrong(node, f"this operator has no meaning here{hint}; known: + - * / % **")
        symbol, do = ARITHMETIC[type(node.op)]
        left, right = self._number(node.left), self._number(node.right)
        unit = self._unit(node, symbol, left, right)
        one, other = left.run, right.run
        if symbol == "**":
            return Part(raised(one, right.written or 0.0), "number", unit)

        return Part(combined(symbol, do, one, other), "number", unit)

    def _unit(self, node: ast.BinOp, symbol: str, left: Part, right: Part) -> Unit:
        if symbol == "**":
            if right.written is None or abs(right.written) > MAX_POWER:
                raise self._wrong(node.right, f"an exponent is a written number, from -{MAX_POWER:g} to {MAX_POWER:g}")
            found = power(left.unit, right.written)
            if isinstance(found, str):
                raise self._wrong(node, found)
            return found
        if symbol in ("*", "/"):
            return product(left.unit, right.unit, 1 if symbol == "*" else -1)
        fits, unit = agreed([left.unit, right.unit])
        if not fits:
            raise self._wrong(node, f"{symbol} of what is {spelled(left.unit)} and what is {spelled(right.unit)}")
        return unit

    def _logical(self, node: ast.BoolOp, sign: int) -> Part:
        parts = [self._truth(value, sign).run for value in node.values]
        if isinstance(node.op, ast.And):
            return Part(lambda scope: float(all(part(scope) for part in parts)), "truth")
        return Part(lambda scope: float(any(part(scope) for part in parts)), "truth")

    def _comparison(self, node: ast.Compare, sign: int) -> Part:
        sides = [self.part(side, 0) for side in (node.left, *node.comparators)]
        if len({side.kind for side in sides}) > 1:
            raise self._wrong(node, "compares a number with what is true or false")
        fits, _ = agreed([side.unit for side in sides])
        if not fits:
            units = " and ".join(spelled(side.unit) for side in sides if side.unit is not None)
            raise self._wrong(node, f"compares what is {units}")
        tests: list[Test] = []
        for op in node.ops:
            ordered = ORDER.get(type(op))
            if ordered is None and type(op) not in EQUAL:
                raise self._wrong(node, "this comparison has no meaning here; known: < <= > >= == !=")
            if ordered is not None and sides[0].kind == "truth":
                raise self._wrong(node, "what is true or false has no order; known: == !=")
            tests.append((ordered[0], sign * ordered[1]) if ordered is not None else (EQUAL[type(op)], 0.0))
        if any(type(op) in ORDER for op in node.ops):
            self._uses.comparisons.append(sign)
        return Part(compared([side.run for side in sides], tests), "truth")

    def _choice(self, node: ast.IfExp, sign: int) -> Part:
        test = self._truth(node.test, 0).run
        yes, no = self.part(node.body, sign), self.part(node.orelse, sign)
        fits, unit = agreed([yes.unit, no.unit])
        if yes.kind != no.kind or not fits:
            raise self._wrong(node, f"gives what is {_kind(yes)} or {_kind(no)}; both must be of one kind")
        one, other = yes.run, no.run
        return Part(lambda scope: one(scope) if test(scope) else other(scope), yes.kind, unit)

    def _call(self, node: ast.Call) -> Part:
        if not isinstance(node.func, ast.Name):
            raise self._wrong(node.func, "only functions that are named can be called")
        name = node.func.id
        if name in _TABLES:
            raise self._wrong(node, f"{name}(...) is followed by a figure, as in {_EXAMPLES[name]}")
        function = FUNCTIONS.get(name)
        if function is None:
            raise self._wrong(node.func, f"there is no function {name!r}{_nearest(name, [*FUNCTIONS, *_TABLES])}")
        if node.keywords:
            raise self._wrong(node.keywords[0], f"{name} takes numbers without names: {function.signature}")
        if not function.least <= len(node.args) <= function.most:
            raise self._wrong(node, f"{name} is written {function.signature}")
        parts = [self._number(argument) for argument in node.args]
        unit = function.judge([part.unit for part in parts])
        if isinstance(unit, str):
            raise self._wrong(node, f"{name} {unit}")
        return Part(applied(name, function.run, [part.run for part in parts]), "number", unit)


_EXAMPLES: Final = {
    "bands": "bands.stride.coherence",
    "band": "band('stride').coherence",
    "node": "node('kitchen').coherence",
    "own": "own.coherence",
    "we": "we('anna-ben').one",
    "cell": "cell.coherence",
}


def _fixed(value: float, kind: Literal["truth", "number"]) -> Part:
    return Part(lambda _scope: value, kind, FREE, value if kind == "number" else None)


def _named(name: names.Name, run: Run) -> Part:
    return Part(run, "truth" if name.truth else "number", name.unit)


def _kind(part: Part) -> str:
    return "true or false" if part.kind == "truth" else spelled(part.unit if part.unit is not None else PLAIN)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:64], list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
