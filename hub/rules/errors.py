"""What is wrong with a rule, and where."""

from __future__ import annotations

from becomingone.errors import BecomingOneError


class RuleError(BecomingOneError, ValueError):
    """An expression that cannot be taken.

    Parameters
    ----------
    text : str
        The expression as it was written.
    start, end : int
        The part that is wrong, as offsets in `text`.
    problem : str
        What is wrong with it and what would be right.
    """

    def __init__(self, text: str, start: int, end: int, problem: str) -> None:
        self.text = text
        self.start = max(0, min(start, len(text)))
        self.end = max(self.start + 1, min(end, len(text)))
        self.problem = problem
        super().__init__(f"column {self.column}: {problem}; here: {self._marked()}")

    @property
    def column(self) -> int:
        """Where the wrong part begins, from 1."""
        return self.start + 1

    @property
    def caret(self) -> str:
        """Two lines: the expression, and a caret under each character that is wrong."""
        return f"{_plain(self.text)}\n{' ' * self.start}{'^' * (self.end - self.start)}"

    def _marked(self) -> str:
        """Give the expression on one line with the wrong part between marks, cut around it where it is long."""
        text = _plain(self.text)
        before, wrong, after = text[: self.start], text[self.start : self.end], text[self.end :]
        before = before if len(before) <= _AROUND else f"...{before[-_AROUND:]}"
        after = after if len(after) <= _AROUND else f"{after[:_AROUND]}..."
        wrong = wrong if len(wrong) <= 2 * _AROUND else f"{wrong[: 2 * _AROUND]}..."
        return f"{before}>>{wrong}<<{after}"


class Undefined(Exception):  # noqa: N818 - it is no error: an expression that has no value just now
    """An expression has no value just now: the rule does not fire."""


_AROUND = 30


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
