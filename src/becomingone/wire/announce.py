"""What a node announces as retained text or JSON: its state, what it is, how it is.

The models ignore fields that they do not know, so that an older hub reads a newer node.
"""

from __future__ import annotations

import enum
from collections.abc import Sized
from typing import Annotated, Final, Literal, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError
from pydantic_core import from_json

from becomingone.errors import FrameError
from becomingone.wire.cbor import MAX_PAYLOAD

MAX_TEXT: Final = 512
"""Characters of a text; what is longer is cut, so that no message of an error can cost an announcement."""

MAX_ENTRIES: Final = 256
"""Entries of an object whose keys are names or reasons."""

MAX_ELEMENTS: Final = 4096
"""Elements of an array."""

MAX_OPENINGS: Final = 12_288
"""Arrays and objects in one text; our own have at most two for each channel."""

MAX_COMMAS: Final = 57_344
"""Commas in one text: with `MAX_OPENINGS`, what the values of a text may weigh before any is looked at."""

LARGEST: Final = 1e12
"""The largest figure that is believed: far beyond any sensor, and far from what sums and squares overflow at."""


def _cut(value: object) -> object:
    return value.encode("utf-8", "replace").decode()[:MAX_TEXT] if isinstance(value, str) else value


def _at_most(most: int, value: object) -> None:
    """Refuse many entries before they are looked at: each wrong one would make an error of its own."""
    if isinstance(value, Sized) and len(value) > most:
        msg = f"at most {most} entries are taken"
        raise ValueError(msg)


def few(value: object) -> object:
    """Refuse an object of more than `MAX_ENTRIES` entries."""
    _at_most(MAX_ENTRIES, value)
    return value


def _listed(value: object) -> object:
    _at_most(MAX_ELEMENTS, value)
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


T = TypeVar("T")
Some = Annotated[tuple[T, ...], FailFast(), BeforeValidator(_listed)]
"""A JSON array; reading it stops at the first wrong element."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A level of a topic, as a pydantic field."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Signed = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Text = Annotated[str, BeforeValidator(_cut)]
Counts = Annotated[dict[str, Count], BeforeValidator(few)]


class State(enum.StrEnum):
    """How a node or hub is; the words of Homie 5."""

    INIT = "init"
    READY = "ready"
    SLEEPING = "sleeping"
    DISCONNECTED = "disconnected"
    LOST = "lost"


class Announcement(BaseModel):
    """What all of them have in common: fields that are not known are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class BandAbout(Announcement):
    """A band that the node demodulates in: see `becomingone.kairos.bands.Band`."""

    frequency_hz: Positive
    tau_s: Positive
    lag_s: Positive
    coherence_tau_s: Positive


class ChannelAbout(Announcement):
    """A channel that the node has, whether its device works just now or not."""

    name: Name
    device: Name
    kind: Text
    unit: Text
    quantity: Text
    rate_hz: Positive
    floor: NotNegative
    origin: Literal["live", "replayed", "simulated"]
    speed: Positive = 1.0
    """Seconds of the recorded world in a second of the mesh's time; above 1 for a recording replayed faster."""
    bands: Some[Name]
    interval_s: Positive
    """Seconds between the channel's frames in each band."""
    keep: bool = False
    """Whether the node keeps the channel's frames until the hub has committed them."""


class DeviceAbout(Announcement):
    """A configured device and whether it works."""

    name: Name
    kind: Text
    available: bool
    reason: Text = ""


class OutputAbout(Announcement):
    """An output that the hub may drive."""

    name: Name
    kind: Text
    role: Literal["display", "speaker", "motor"]


class About(Announcement):
    """A node's self-description, topic ``node/<node>/about``."""

    protocol: Annotated[int, Field(ge=1)]
    node: Name
    hardware: Text
    tau_s: Annotated[tuple[Positive, Positive], BeforeValidator(_listed)]
    capability: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
    interval_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
    """The longest silence, in seconds, that is normal for this node."""
    bands: Annotated[dict[Name, BandAbout], BeforeValidator(few)]
    channels: Some[ChannelAbout]
    devices: Some[DeviceAbout]
    outputs: Some[OutputAbout]
    software: Text
    config_sha256: Text
    boot: Annotated[int, Field(ge=0, lt=1 << 32)]
    pid: Count
    host: Text = ""
    """The machine's name: where two nodes of one id are to be looked for."""
    mode: Literal["normal", "last_good", "safe"] = "normal"
    """``last_good``: its configuration was refused, it runs with the one before; ``safe``: it starts no devices."""
    mode_why: Text = ""
    desired_sha256: Text = ""
    """Digest of the configuration that it was told to have; empty where nobody has said."""


class Health(Announcement):
    """A node's vital figures, topic ``node/<node>/health``."""

    uptime_s: NotNegative
    frames: Count
    """Phase frames handed to the broker, or kept for the hub, since the start."""
    dropped: Count
    """Phase frames that were made and could not be handed over."""
    dropped_reasons: Counts
    rss_bytes: Count | None
    cpu_s: NotNegative
    clock_sigma_s: NotNegative
    refused_commands: Counts
    clock_source: Literal["system", "hub"] = "system"
    clock_offset_s: Signed = 0.0
    """What mesh time is ahead of the node's system clock, s."""
    temperature_c: Signed | None = None
    """The processor's."""
    waiting: Count = 0
    """Live frames that wait for the link."""
    kept: Count = 0
    """Frames on the disk that the hub has not committed yet."""
    kept_bytes: Count = 0
    kept_lost: Count = 0
    """Frames that had to make room before they were committed."""
    kept_fault: Text = ""
    """What is wrong with the disk on which they wait; empty while nothing is."""


class OutputState(Announcement):
    """What an output does and why, topic ``node/<node>/output/<device>/state``."""

    doing: Literal["rest", "command", "alone"]
    """``alone``: the hub is gone, and the output follows the node's own rhythm."""
    why: Text
    values: Annotated[dict[str, Finite], BeforeValidator(few)]
    hub_boot: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    id: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None
    """With ``hub_boot``: the command that it obeys; null where it obeys none of the hub's."""


M = TypeVar("M", bound=Announcement)


def parse_announcement(model: type[M], payload: bytes) -> M:
    """Read one of this module's models from JSON.

    Raises
    ------
    FrameError
        When it is too long, no JSON, or a field is missing or wrong.
    """
    if len(payload) > MAX_PAYLOAD:
        raise FrameError("oversize", f"{len(payload)} bytes, at most {MAX_PAYLOAD} are taken")
    if payload.count(b"{") + payload.count(b"[") > MAX_OPENINGS or payload.count(b",") > MAX_COMMAS:
        raise FrameError("announcement", f"at most {MAX_OPENINGS} arrays and objects and {MAX_COMMAS} commas are taken")
    try:
        # In two steps: pydantic's errors hold what is wrong as objects, which are free, or as JSON, copied each time.
        return model.model_validate(from_json(payload, allow_inf_nan=False), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the payload"
        raise FrameError("announcement", f"{where}: {first['msg']}") from error
    except ValueError as error:
        raise FrameError("announcement", f"the payload must be JSON: {error}") from error


def parse_state(payload: bytes) -> State:
    """Read a state.

    Raises
    ------
    FrameError
        When it is none of the five words.
    """
    try:
        return State(payload.decode("ascii"))
    except (UnicodeDecodeError, ValueError) as error:
        raise FrameError("state", f"the state must be one of {', '.join(State)}") from error
