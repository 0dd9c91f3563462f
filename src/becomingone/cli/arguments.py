"""What arguments of the command line may be: each function takes a text, and refuses it as argparse wants it."""

from __future__ import annotations

import argparse


def port(text: str) -> int:
    """Read a TCP port, 0..65535."""
    if text.isdecimal() and int(text) <= 65_535:
        return int(text)
    msg = f"must be a port, 0..65535, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def words(text: str) -> tuple[str, ...]:
    """Read words between commas."""
    return tuple(word for word in text.split(",") if word)


def count(text: str) -> int:
    """Read a number, 1..100000."""
    if text.isdecimal() and 1 <= int(text) <= 100_000:
        return int(text)
    msg = f"must be a number, 1..100000, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def validity(text: str) -> float:
    """Read seconds, 1..10."""
    value = seconds(text)
    if 1 <= value <= 10:
        return value
    msg = f"must be 1..10 seconds, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def pulses(text: str) -> int:
    """Read a number of pulses, 5..1000."""
    if text.isdecimal() and 5 <= int(text) <= 1_000:
        return int(text)
    msg = f"must be a number, 5..1000, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def seconds(text: str) -> float:
    """Read seconds, above 0 and at most 10⁹."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 < value <= 1e9:
        return value
    msg = f"must be a number of seconds above 0, not {text!r}"
    raise argparse.ArgumentTypeError(msg)
