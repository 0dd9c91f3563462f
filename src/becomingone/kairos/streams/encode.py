"""From an encoding to its encoder: any sensor stream to zero mean and unit power, with its faults flagged.

| kind | encoder | what it gives |
| --- | --- | --- |
| real, complex | :class:`AnalogEncoder` | the samples without slow mean, of power 1 |
| event with a period | :class:`PeriodicEvents` | a tone of power 1 whose phase is 0 at each event |
| event without | :class:`EventRate` | events a second, a real stream to be encoded as such; never a phase |
| token, cyclic | :class:`TokenEncoder` | confidence·e^{2πi·position} |
| token, not cyclic | :class:`TokenEncoder` | the position as a real stream, the confidence its weight |
"""

from __future__ import annotations

from typing import TypeAlias

from becomingone.errors import KernelError
from becomingone.kairos.streams.analog import AnalogEncoder
from becomingone.kairos.streams.encoded import Encoded
from becomingone.kairos.streams.encoding import ENCODINGS, Encoding, Kind, documents_phase
from becomingone.kairos.streams.event_rate import EventRate, Rate
from becomingone.kairos.streams.events import PeriodicEvents
from becomingone.kairos.streams.tokens import TokenEncoder

__all__ = [
    "ENCODINGS",
    "AnalogEncoder",
    "Encoded",
    "Encoding",
    "EventRate",
    "Kind",
    "PeriodicEvents",
    "Rate",
    "TokenEncoder",
    "documents_phase",
    "encoder_for",
]

Encoder: TypeAlias = AnalogEncoder | PeriodicEvents | EventRate | TokenEncoder


def encoder_for(encoding: Encoding | str, *, since_ns: int | None = None) -> Encoder:
    """Make the encoder of a stream.

    Parameters
    ----------
    encoding : Encoding or str
        An encoding, or the name of one of the documents' inputs in ``ENCODINGS``.
    since_ns : int, optional
        From when on events are watched for, in nanoseconds; needed for events, ignored otherwise.

    Raises
    ------
    KernelError
        When the name is unknown, or it is not said since when events are watched for.
    """
    if isinstance(encoding, str):
        if encoding not in ENCODINGS:
            raise KernelError(f"there is no encoding {encoding!r}; known are {', '.join(sorted(ENCODINGS))}")
        encoding = ENCODINGS[encoding]
    if encoding.kind is Kind.TOKEN:
        return TokenEncoder(encoding)
    if encoding.kind is not Kind.EVENT:
        return AnalogEncoder(encoding)
    if since_ns is None:
        raise KernelError(f"encoding {encoding.name}: say since_ns, from when on events are watched for")
    if encoding.period_s is None:
        return EventRate(encoding.scale_tau_s, encoding.rate_hz, since_ns)
    return PeriodicEvents(encoding.period_s, since_ns)
