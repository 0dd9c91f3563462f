"""What a device module is.

A file ``devices/<kind>.py`` (or one in a node's drop-in folder, or a third party's package under the entry point
group ``becomingone.devices``) holds two fixed names:

``Options``
    a frozen pydantic model with ``extra="forbid"``; every field says its unit and range. It may have ``wiring()``, see
    `Wired`;
``Device``
    a class made as ``Device(options, ports)``: a `Sensor` or an `Output`.

A class ``Device`` may say ``needs_64_bit = True`` where its libraries exist for 64-bit systems alone.

A device never opens a bus, reads a clock or starts a thread by itself: hardware comes in through `Ports`, so that
its test is a fake port.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TextIO, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from becomingone.devices._sound import AudioPort, AudioStream, Fill, Player
from becomingone.devices._wiring import (
    CameraAt,
    I2cAt,
    OneWireAt,
    PinAt,
    SerialAt,
    SoundAt,
    SpiAt,
    Wire,
    Wired,
)

__all__ = [
    "AudioPort",
    "AudioStream",
    "Block",
    "CameraAt",
    "Channel",
    "ClockPort",
    "Deadman",
    "Fill",
    "I2cAt",
    "Module",
    "OneWireAt",
    "Origin",
    "Output",
    "PinAt",
    "Player",
    "Ports",
    "Reading",
    "Sensor",
    "SerialAt",
    "SoundAt",
    "SpiAt",
    "Wire",
    "Wired",
]

Origin = Literal["live", "replayed", "simulated"]
"""Where samples come from: the world now, a recording of it, or a formula."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One stream of numbers that a sensor gives.

    Parameters
    ----------
    name : str
        Matches ``[a-z0-9][a-z0-9_-]{0,62}``; unique within the device.
    unit : str
        The unit of a sample, as people write it (``"°C"``, ``"rad/s"``); empty for a plain ratio.
    rate_hz : float
        Samples a second, above 0. For a recording replayed s times faster: s times the recorded rate.
    quantity : str
        The kind of quantity (``"temperature"``, ``"angular_rate"``); Home Assistant's device class where one fits.
    floor : float
        Amplitude, in `unit`, of the smallest oscillation that this sensor can tell from its own noise. Below it the
        phase is undefined.
    speed : float
        Seconds of the recorded world in a second of the mesh's time; 1 for everything that is not a faster replay.
    """

    name: str
    unit: str
    rate_hz: float
    quantity: str
    floor: float
    speed: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Evenly spaced samples of one channel.

    Parameters
    ----------
    channel : str
        The `Channel.name` that they belong to.
    start_ns : int
        When the first sample was taken, on the clock port's monotonic clock.
    spacing_ns : float
        Nanoseconds between samples, above 0.
    samples : ndarray of float64, shape (n_samples,)
        In the channel's unit; NaN where a sample is missing.
    gap : bool
        True where the stream was interrupted just before the first sample (a dropout, the seam of a loop).
    saturated : bool
        True where a sample touched an end of the sensor's range.
    """

    channel: str
    start_ns: int
    spacing_ns: float
    samples: NDArray[np.float64]
    gap: bool = False
    saturated: bool = False


Reading = Mapping[str, float | None] | Sequence[Block]
"""What `Sensor.read` returns: one value a channel (None: missing just now), timed by the sampler at the middle of
the call; or blocks that carry their own time (bulk sources; an empty list means nothing new)."""


class ClockPort(Protocol):
    """The node's clocks, as a device sees them."""

    def monotonic_ns(self) -> int:
        """Nanoseconds on a clock that only moves forwards."""
        ...

    def mesh_us(self, monotonic_ns: int) -> int:
        """Give the mesh's time, in µs since the Unix epoch, at an instant of the monotonic clock."""
        ...


class Deadman(Protocol):
    """A deadline on the monotonic clock, apart from everything else that the node does.

    It is made idle. The first `feed` starts it; a feed within the deadline puts it off; else `expire` is called, once,
    and it is idle again until the next feed. On a real node `expire` is called from a thread of its own, also when the
    node's own loop hangs; one that raises is called again after the timeout.
    """

    def feed(self) -> None:
        """Put the deadline off to the timeout from now; cheap, from any thread."""
        ...

    def close(self) -> None:
        """Never call `expire` again."""
        ...


class Ports(Protocol):
    """The hardware that a node lends to its devices; each is opened only when a device asks."""

    @property
    def clock(self) -> ClockPort:
        """The node's clocks."""
        ...

    @property
    def audio(self) -> AudioPort:
        """The sound card."""
        ...

    @property
    def pins(self) -> Any:  # noqa: ANN401 - gpiozero has no types
        """The general-purpose pins: a gpiozero pin factory, for the parameter ``pin_factory`` of gpiozero's devices.

        Raises
        ------
        DeviceUnavailableError
            This machine has no pins, or they must not be used.
        MissingLibraryError
            gpiozero, or what it reaches the pins with, is not installed.
        """
        ...

    @property
    def terminal(self) -> TextIO:
        """Where a display without a screen may write."""
        ...

    def deadman(self, timeout_s: float, expire: Callable[[], None]) -> Deadman:
        """Make a deadline for an output that must not go on by itself.

        Parameters
        ----------
        timeout_s : float
            Seconds after a feed, above 0.
        expire : callable
            Called when no feed has come in time; must return soon and may be called from any thread.
        """
        ...


@runtime_checkable
class Sensor(Protocol):
    """A device that gives numbers.

    One whose ``read`` never waits for anything (it has the numbers, or makes them) may say so with a class attribute
    ``instant = True``: it then needs no thread of its own.
    """

    @property
    def channels(self) -> Sequence[Channel]:
        """The streams that it gives, the same for the life of the object."""
        ...

    @property
    def origin(self) -> Origin:
        """Where the samples come from."""
        ...

    def read(self) -> Reading:
        """Give what is new.

        Raises
        ------
        DeviceUnavailableError
            Not there just now; the node retries with back-off.
        """
        ...

    def close(self) -> None:
        """Let go of the hardware; called once, at the end."""
        ...


@runtime_checkable
class Output(Protocol):
    """A device that does something.

    It may have more, which the node uses where it is there: ``close()`` lets go of the hardware (called once, after
    the last `rest`); ``remark``, a text, tells after each `apply` what there is to say beyond the values that were
    given (``"not armed: nothing moves"``), empty for nothing; ``latency_s``, seconds from a command to its middle being
    heard or seen, None while it is not known.
    """

    @property
    def role(self) -> str:
        """What the hub drives it as: ``"display"``, ``"speaker"``, ``"motor"``."""
        ...

    def apply(self, values: Mapping[str, float]) -> None:
        """Start doing what the command says, and return at once.

        The values' names and ranges are fixed by the role: a display takes ``hue`` (0..360 degrees) and
        ``brightness`` (0..1), a speaker ``frequency`` (20..20,000 Hz) and ``volume`` (0..1).
        """
        ...

    def rest(self) -> None:
        """Go to the safe state; called at start, on link loss, on stale commands and at exit."""
        ...


class Module(NamedTuple):
    """A loaded device module.

    Parameters
    ----------
    kind : str
        Its name, ``[a-z][a-z0-9_]*``.
    options : type
        The pydantic model of its options.
    device : callable
        Makes a device of options and ports.
    summary : str
        The first line of the module's docstring.
    """

    kind: str
    options: type[Any]
    device: Any
    summary: str
