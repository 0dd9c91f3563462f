"""The mesh's figures as retained text, each topic only when its text has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from becomingone.hub.mesh.state import MeshState
from becomingone.wire.topics import Topics

GRACE_US: Final = 30_000_000
"""µs that a hub has to find figures of its own before it takes back those of a hub that died before it."""

_DIGITS = 4


class FigurePublisher:
    """Publishes ``coherence``, ``order``, ``locking``, ``phase`` and ``emerged`` of the cell and of each band.

    A figure that is not defined any more is taken back with an empty retained payload: a number that nobody vouches
    for must not stay on the broker, not even one of a hub that died before.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    publish : callable
        Publishes (topic, payload), retained; True where the link took it.
    """

    def __init__(self, topics: Topics, publish: Callable[[str, bytes], bool]) -> None:
        self._topics = topics
        self._publish = publish
        self._last: dict[str, str | None] = {}  # None: it may have lost or kept what was published
        self._begun_us: int | None = None

    def forget(self) -> None:
        """Publish everything anew next time: the broker may have lost what it retained."""
        self._last = dict.fromkeys(self._last)

    def take(self, state: MeshState, emerged: frozenset[str] = frozenset()) -> None:
        """Publish what has changed.

        Parameters
        ----------
        state : MeshState
            The latest.
        emerged : frozenset of str
            The bands whose nodes are one now.
        """
        if self._begun_us is None:
            self._begun_us = state.time_us
        unknown = None if state.time_us - self._begun_us >= GRACE_US else ""
        for topic, text in self._texts(state, emerged):
            if self._last.get(topic, unknown) != text and self._publish(topic, text.encode("ascii")):
                self._last[topic] = text

    def withdraw(self) -> None:
        """Take everything back: the hub stops, and with it what the figures stood for."""
        for topic, text in list(self._last.items()):
            if text != "":
                self._publish(topic, b"")
        self._last.clear()

    def _texts(self, state: MeshState, emerged: frozenset[str]) -> Iterator[tuple[str, str]]:
        dominant = state.dominant
        topics = self._topics
        yield topics.figure("coherence"), _text(state.overall("coherence"))
        yield topics.figure("order"), _text(state.overall("order"))
        yield topics.figure("locking"), _text(state.overall("locking"))
        yield topics.figure("phase"), _text(dominant.phase_at(state.time_us) if dominant is not None else None)
        yield topics.figure("emerged"), _truth(bool(emerged)) if state.valid or emerged else ""
        for band in state.bands:
            valid = band.valid
            yield (
                topics.figure("emerged", band.name),
                _truth(band.name in emerged) if valid or band.name in emerged else "",
            )
            yield topics.figure("coherence", band.name), _text(band.coherence if valid else None)
            yield topics.figure("order", band.name), _text(band.order if valid else None)
            yield topics.figure("locking", band.name), _text(band.locking if valid else None)
            yield topics.figure("phase", band.name), _text(band.phase_at(state.time_us))


def _text(value: float | None) -> str:
    return "" if value is None else f"{round(value, _DIGITS) + 0.0:.{_DIGITS}f}"  # no −0.0


def _truth(value: bool) -> str:
    return "true" if value else "false"
