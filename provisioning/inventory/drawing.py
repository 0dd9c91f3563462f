"""Draws the header of one node: the board named, every pin that is used coloured and labelled.

Plain SVG 1.1: it needs no library, and the same sheet is the same file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from becomingone.provisioning.inventory.boards import HEADER
from becomingone.provisioning.inventory.sheet import Row, Sheet

# The figures of the manual: white ground, grey lines, matplotlib's colours C0.. in their order.
_COLOURS: Final = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#17becf", "#8c564b", "#e377c2", "#bcbd22")
_RAILS: Final = {"3V3": "#f4a582", "5V": "#d6604d", "GND": "#404040"}
_UNUSED: Final = "#ffffff"
_LINE: Final = "#b0b0b0"
_TEXT: Final = "#222222"
_FONT: Final = "DejaVu Sans, Verdana, sans-serif"

_PITCH: Final = 22.0
_RADIUS: Final = 7.5
_SIZE: Final = 11.0
_CHARACTER: Final = 7.2
"""Width of a character of the font at its size, at most on average."""

_TITLE: Final = 16.5
"""Size of ordinary characters that are as wide as the title's, which are bold."""

_LONGEST: Final = 72
_MARGIN: Final = 16.0
_TOP: Final = 66.0
_NAME_WIDTH: Final = 72.0
"""Room for the pin's own name beside it, such as GPIO 27, and the line to its label."""

_LINE_FROM: Final = 52.0
"""Where that line begins, behind the longest name."""


class _Label(NamedTuple):
    pin: int
    lines: tuple[str, ...]
    colour: str


def svg(sheet: Sheet) -> str:
    """Draw a sheet.

    Returns
    -------
    str
        An SVG file; of a board without a header, or with nothing on it, the heading and what is connected elsewhere.
    """
    names = dict.fromkeys(row.device for row in sheet.rows if row.pin is not None)
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)}
    labels = {pin: _label(pin, rows, colours) for pin, rows in _by_pin(sheet).items()}
    sides = [
        max((_width(line) for pin, label in labels.items() if pin % 2 == odd for line in label.lines), default=0.0)
        for odd in (1, 0)
    ]
    left, right = (max(side, 40.0) + _NAME_WIDTH + 2 * _MARGIN + 24 for side in sides)
    elsewhere = [row for row in sheet.rows if row.pin is None]
    footer = [_short(f"{row.device}: {row.to} – {row.at}") for row in elsewhere]
    footer += [f"{name}: its module does not say where it is connected" for name in sheet.silent]
    rows = sheet.pins // 2
    below = _TOP + rows * _PITCH + (26 if rows else 0)
    legend = _legend(colours, below + len(footer) * 16)
    height = below + len(footer) * 16 + (28 * math.ceil(len(colours) / 4) if colours else 0) + _MARGIN
    title = _short(f"{sheet.title}: {sheet.board}")
    about = _orientation(sheet)
    wide = [_width(title, _TITLE), _width(about), *map(_width, footer), min(4, len(colours)) * _LEGEND_STEP]
    width = max(left + right if rows else 0.0, max(wide) + 2 * _MARGIN)
    middle = left + (width - left - right) / 2 if rows else width / 2
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{_FONT}" font-size="{_SIZE:g}" fill="{_TEXT}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        _text(_MARGIN, 26, title, size=15, weight="bold"),
        _text(_MARGIN, 44, about, colour="#666666"),
        *_header(sheet, labels, middle),
        *(_text(_MARGIN, below + 16 * number, line) for number, line in enumerate(footer)),
        *legend,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _by_pin(sheet: Sheet) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in sheet.rows:
        if row.pin is not None:
            found.setdefault(row.pin, []).append(row)
    return found


def _label(pin: int, rows: Sequence[Row], colours: dict[str, str]) -> _Label:
    """Say what is on a pin in one line; where several share it, who they are."""
    if len(rows) == 1:
        return _Label(pin, (_short(f"{rows[0].device}: {rows[0].to}"),), colours[rows[0].device])
    devices = list(dict.fromkeys(row.device for row in rows))
    if len(devices) == 1:
        text = f"{devices[0]}: {' + '.join(row.to for row in rows)}"
    else:
        text = f"{', '.join(devices)} (shared)"
    return _Label(pin, (_short(text),), colours[devices[0]] if len(devices) == 1 else _TEXT)


def _orientation(sheet: Sheet) -> str:
    if not sheet.pins:
        return "This computer has no header."
    return "Pin 1, which is square, at the top left; even numbers run along the board's edge."


def _header(sheet: Sheet, labels: dict[int, _Label], middle: float) -> Iterator[str]:
    rows = sheet.pins // 2
    if not rows:
        return
    box = (middle - _PITCH - 6, _TOP - 6, 2 * _PITCH + 12, rows * _PITCH + 12)
    yield (
        f'<rect x="{box[0]:.1f}" y="{box[1]:.1f}" width="{box[2]:.1f}" height="{box[3]:.1f}" rx="4" fill="#f5f5f5" '
        f'stroke="{_LINE}"/>'
    )
    for number in range(1, sheet.pins + 1):
        yield from _pin(number, labels.get(number), middle)


def _pin(number: int, label: _Label | None, middle: float) -> Iterator[str]:
    right = number % 2 == 0
    side = 1 if right else -1
    x = middle + side * _PITCH / 2
    y = _TOP + ((number - 1) // 2) * _PITCH + _PITCH / 2
    what = HEADER[number - 1]
    fill = _UNUSED if label is None else _RAILS.get(str(what), label.colour)
    ink = _TEXT if fill in (_UNUSED, _RAILS["3V3"]) else "#ffffff"
    anchor = "start" if right else "end"
    if number == 1:
        yield _square(x, y, fill, label is not None)
    else:
        stroke = fill if label is not None else _LINE
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS:g}" fill="{fill}" stroke="{stroke}"/>'
    yield _text(x, y + 2.8, str(number), size=8, anchor="middle", colour=ink if label is not None else "#888888")
    name = f"GPIO {what}" if isinstance(what, int) else what
    at = middle + side * (_PITCH + 14)
    yield _text(at, y + 4, name, anchor=anchor, colour=_TEXT if label is not None else "#aaaaaa")
    if label is not None:
        start = at + side * _NAME_WIDTH
        yield (
            f'<line x1="{at + side * _LINE_FROM:.1f}" y1="{y:.1f}" x2="{start:.1f}" y2="{y:.1f}" '
            f'stroke="{label.colour}"/>'
        )
        yield from (_text(start + side * 4, y + 4, line, anchor=anchor, colour=_TEXT) for line in label.lines)


def _square(x: float, y: float, fill: str, used: bool) -> str:
    side = 2 * _RADIUS
    return (
        f'<rect x="{x - _RADIUS:.1f}" y="{y - _RADIUS:.1f}" width="{side:g}" height="{side:g}" fill="{fill}" '
        f'stroke="{fill if used else _LINE}"/>'
    )


_LEGEND_STEP: Final = 150.0


def _legend(colours: dict[str, str], top: float) -> list[str]:
    parts: list[str] = []
    for number, (name, colour) in enumerate(colours.items()):
        x, y = _MARGIN + (number % 4) * _LEGEND_STEP, top + 18 + (number // 4) * 22
        parts.append(f'<circle cx="{x + 6:.1f}" cy="{y - 4:.1f}" r="6" fill="{colour}"/>')
        parts.append(_text(x + 18, y, name if len(name) <= 18 else f"{name[:17]}…"))
    return parts


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _width(text: str, size: float = _SIZE) -> float:
    return len(text) * _CHARACTER * size / _SIZE


def _text(
    x: float, y: float, text: str, *, size: float = _SIZE, anchor: str = "start", colour: str = "", weight: str = ""
) -> str:
    extra = f' font-size="{size:g}"' if size != _SIZE else ""
    extra += f' text-anchor="{anchor}"' if anchor != "start" else ""
    extra += f' fill="{colour}"' if colour else ""
    extra += f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(text)}</text>'
