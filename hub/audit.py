"""What a hub says, held against what another one saw: the figures that it publishes, its signature, its events."""

from __future__ import annotations

import cmath
import json
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from pydantic import Field

from becomingone.broker.link import Link, Message
from becomingone.config.sections import Name, Section
from becomingone.errors import FrameError, TopicError
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.wire.cbor import MAX_PAYLOAD
from becomingone.wire.signature import Verifier
from becomingone.wire.sync import SyncFrame, decode_sync
from becomingone.wire.topics import Topics

LOOK_BACK_US: Final = 3_000_000
"""µs for which own states are kept, to be compared with what was said of the same time."""

SAME_US: Final = 150_000
"""µs that two states may be apart and still be of the same time; the mean field is carried on."""

MOST: Final = 1e15
"""A figure that is greater is none."""


class AuditSection(Section):
    """When a witness hub calls what the cell's hub says a disagreement."""

    name: Annotated[Name, Field(description="this witness, among several: below audit/ in the topics")] = "witness"
    coherence: Annotated[float, Field(gt=0, le=1, description="difference of coherence that is borne, 0..1")] = 0.05
    order: Annotated[float, Field(gt=0, le=1, description="difference of the order R that is borne, 0..1")] = 0.1
    phase: Annotated[float, Field(gt=0, le=math.pi, description="difference of the mean phase that is borne, rad")] = (
        0.3
    )
    least: Annotated[
        int, Field(ge=1, le=3600, description="words in a row that differ before it is called a disagreement")
    ] = 5


@dataclass(slots=True)
class _Doubt:
    """Something that differs, or did."""

    what: str
    hub: Any = None
    own: Any = None
    times: int = 0
    since_us: int = 0
    told: bool = False


class Audit:
    """Compares.

    Parameters
    ----------
    section : AuditSection
        What is borne.
    topics : Topics
        The cell's topics.
    link : Link
        Brings what the hub says.
    verifier : Verifier or None
        Checks what the hub signs; None in a cell without keys.
    tell : callable
        Tells of a disagreement, and of its end.

    Attributes
    ----------
    checked : Counter of str
        What was compared, by kind: ``snapshot``, ``sync``, ``event``; ``silent``, ``unreadable``, ``forged``.
    """

    def __init__(
        self,
        section: AuditSection,
        topics: Topics,
        *,
        link: Link,
        verifier: Verifier | None,
        tell: Callable[[str, dict[str, Any]], object],
    ) -> None:
        self.checked: Counter[str] = Counter()
        self._section = section
        self._topics = topics
        self._link = link
        self._verifier = verifier
        self._tell = tell
        self._own: deque[MeshState] = deque()
        self._doubts: dict[str, _Doubt] = {}

    def start(self) -> None:
        """Hear the hub."""
        self._link.subscribe(self._topics.snapshot, self._snapshot)
        self._link.subscribe(self._topics.sync("+"), self._sync)
        self._link.subscribe(self._topics.event("+"), self._event, qos=1)

    def take(self, state: MeshState) -> None:
        """Take what this witness sees itself at a tick."""
        self._own.append(state)
        while abs(state.time_us - self._own[0].time_us) > LOOK_BACK_US:
            self._own.popleft()

    def figures(self) -> dict[str, Any]:
        """Give the report: whether they agree, where not, since when."""
        standing = {
            name: {"what": doubt.what, "hub": doubt.hub, "own": doubt.own, "since_us": doubt.since_us}
            for name, doubt in sorted(self._doubts.items())
            if doubt.told
        }
        return {"agrees": not standing, "disagreements": standing, "checked": dict(sorted(self.checked.items()))}

    # -- what the hub says -----------------------------------------------------------------------------------------

    def _snapshot(self, message: Message) -> None:
        said = self._read(message)
        if said is None:
            return
        time_us = said.get("time_us")
        own = self._at(time_us) if isinstance(time_us, int) else None
        bands = said.get("bands")
        if own is None or not isinstance(time_us, int) or not isinstance(bands, dict):
            self.checked["incomparable"] += 1
            return
        self.checked["snapshot"] += 1
        for band in own.bands:
            word: object = cast("dict[str, object]", bands).get(band.name)
            self._band(band, cast("dict[str, Any]", word) if isinstance(word, dict) else None, time_us)

    def _band(self, own: BandState, said: Mapping[str, Any] | None, time_us: int) -> None:
        name, section = own.name, self._section
        self._weigh(f"{name}/there", "whether there is a phase", said is not None, own.valid, time_us, differ=0.5)
        if said is None or not own.valid:
            return
        for figure, borne in (("coherence", section.coherence), ("order", section.order)):
            self._weigh(f"{name}/{figure}", figure, said.get(figure), getattr(own, figure), time_us, differ=borne)
        phase, word = own.phase_at(time_us), _number(said.get("phase"))
        if phase is not None and word is not None and abs(own.mean_field) > section.coherence:
            apart = cmath.phase(cmath.rect(1.0, word - phase))
            self._doubt(f"{name}/phase", "phase", word, phase, time_us, differs=abs(apart) > section.phase)

    def _sync(self, message: Message) -> None:
        try:
            payload = self._verifier.open(message.topic, message.payload) if self._verifier else message.payload
            frame = decode_sync(payload)
            band = self._topics.parse_cell(message.topic).names[0]
        except FrameError as error:
            self.checked["forged" if error.reason in ("forged", "unsealed") else "unreadable"] += 1
            return
        except TopicError:
            self.checked["unreadable"] += 1
            return
        own = self._at(frame.time_us)
        state = next((one for one in own.bands if one.name == band), None) if own is not None else None
        if state is not None and state.valid and abs(state.mean_field) > self._section.coherence and frame.field:
            self.checked["sync"] += 1
            self._field(band, frame, state)

    def _field(self, band: str, frame: SyncFrame, own: BandState) -> None:
        expected = own.field_at(frame.time_us)
        apart = abs(cmath.phase(frame.field * expected.conjugate()))
        said, seen = cmath.phase(frame.field), cmath.phase(expected)
        self._doubt(f"{band}/sync", "sync", said, seen, frame.time_us, differs=apart > self._section.phase)

    def _event(self, message: Message) -> None:
        said = self._read(message)
        if said is None or said.get("kind") not in ("emergence", "collapse"):
            return
        time_us, band = said.get("time_us"), said.get("band")
        own = self._at(time_us) if isinstance(time_us, int) else None
        state = next((one for one in own.bands if one.name == band), None) if own is not None else None
        claimed = _number(said.get("coherence"))
        if state is None or claimed is None or not isinstance(time_us, int):
            self.checked["incomparable"] += 1
            return
        self.checked["event"] += 1
        seen = state.coherence if state.valid else 0.0
        if abs(claimed - seen) > 2.0 * self._section.coherence:
            content = {
                "what": said["kind"],
                "band": band,
                "id": f"{said.get('id')}"[:80],
                "hub": claimed,
                "own": round(seen, 4),
            }
            self._tell("unfounded", content)

    def _read(self, message: Message) -> dict[str, Any] | None:
        if message.retained or len(message.payload) > MAX_PAYLOAD:
            return None
        try:
            said = json.loads(message.payload)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            self.checked["unreadable"] += 1
            return None
        return cast("dict[str, Any]", said)

    # -- what differs ----------------------------------------------------------------------------------------------

    def _at(self, time_us: int) -> MeshState | None:
        nearest = min(self._own, key=lambda state: abs(state.time_us - time_us), default=None)
        return nearest if nearest is not None and abs(nearest.time_us - time_us) <= SAME_US else None

    def _weigh(self, key: str, what: str, said: object, own: float, time_us: int, *, differ: float) -> None:
        known = _number(said)
        apart = abs(known - own) if known is not None else math.inf
        self._doubt(key, what, known, own, time_us, differs=apart > differ)

    def _doubt(self, key: str, what: str, said: Any, own: Any, time_us: int, *, differs: bool) -> None:  # noqa: ANN401 - as in JSON
        doubt = self._doubts.setdefault(key, _Doubt(what))
        if differs:
            if not doubt.times:
                doubt.since_us = time_us
            doubt.times = min(doubt.times + 1, self._section.least)
            doubt.hub, doubt.own = said, round(own, 4)
        else:
            doubt.times = max(0, doubt.times - 1)
        if doubt.told != (doubt.times == self._section.least if not doubt.told else doubt.times > 0):
            doubt.told = not doubt.told
            kind = "disagreement" if doubt.told else "agreement"
            self._tell(kind, {"what": key, "hub": doubt.hub, "own": doubt.own, "since_us": doubt.since_us})


def _number(said: object) -> float | None:
    """Read a finite number of what JSON may hold: any text of digits, and what JSON does not have."""
    if not isinstance(said, (int, float)) or not abs(said) <= MOST:
        return None
    return float(said)
