"""An output obeys fresh commands of the hub and is at rest otherwise."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from becomingone.broker.link import Message
from becomingone.devices.contract import Output
from becomingone.errors import DeviceError, DeviceUnavailableError, FrameError
from becomingone.node.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock, Scheduler, Timer
from becomingone.wire.announce import OutputState
from becomingone.wire.command import RANGES, Freshness, decode_command

_LOG = logging.getLogger(__name__)
_REPORT_NS = NANOSECONDS
"""The state is published at most once a second while only the values change."""

_AGAIN_NS = NANOSECONDS
"""A device that could not be put to rest is tried again after this long."""


class OutputRunner:
    """One output.

    Parameters
    ----------
    name : str
        The device's name.
    device : Output
        What does it; put to rest at once.
    stale_s : float
        Seconds without a fresh command after which the device goes to rest, on this node's own monotonic clock.
    clock : MeshClock
        Decides whether a command has expired.
    scheduler : Scheduler
        Gives the turns.
    report : callable
        Publishes the output's state.
    trust : Trust
        Tells whether a command is the hub's, and of those that are refused.

    Raises
    ------
    DeviceError
        Its role is one that no command is for.
    DeviceUnavailableError
        It cannot be put to rest.
    """

    def __init__(
        self,
        name: str,
        device: Output,
        *,
        stale_s: float,
        clock: MeshClock,
        scheduler: Scheduler,
        report: Callable[[str, OutputState], None],
        trust: Trust | None = None,
    ) -> None:
        self.name = name
        self.refused: Counter[str] = Counter()
        self.state = OutputState(doing="rest", why="started", values={})
        self._device = device
        self._stale_ns = int(stale_s * NANOSECONDS)
        self._clock = clock
        self._scheduler = scheduler
        self._report = report
        self._trust = trust or Trust(None, 0)
        self._freshness = Freshness()
        self._watch: Timer | None = None
        self._reported_ns = -_REPORT_NS
        if device.role not in RANGES:
            raise DeviceError(f"{name}: the role must be one of {', '.join(RANGES)}, not {device.role!r}")
        try:
            device.rest()
        except Exception as error:
            raise DeviceUnavailableError(f"{name} cannot be put to rest: {error}") from error

    @property
    def role(self) -> str:
        """What the hub drives it as."""
        return self._device.role

    def command(self, message: Message) -> None:
        """Obey a command, or refuse and count it."""
        try:
            command = decode_command(self._trust.open(message.topic, message.payload), self.role)
            self._freshness.check(command, self._clock.now_us())
        except FrameError as error:
            self.refused[error.reason] += 1
            self._trust.audit.note(self.name, message.topic, error, self._clock.monotonic_ns())
            return
        self._wait(self._stale_ns, lambda: self.rest("no fresh command"))
        try:
            self._device.apply(command.values)
        except Exception as error:  # noqa: BLE001 - a failing device must not stop the others, and must be seen
            self.refused["device"] += 1
            _LOG.warning("%s: %s", self.name, error)
            self.rest(f"the device failed: {error}")
            return
        self._tell(OutputState(doing="command", why="the hub's command", values=dict(command.values)))

    def rest(self, why: str) -> None:
        """Go to the safe state and say why; a device that fails to is tried again until it does or obeys a command."""
        self._wait(None)
        try:
            self._device.rest()
        except Exception as error:  # noqa: BLE001 - it must not keep the other outputs from going to rest
            self.refused["device"] += 1
            _LOG.warning("%s: cannot rest: %s", self.name, error)
            self._wait(_AGAIN_NS, lambda: self.rest(why))
            self._tell(OutputState(doing="command", why=f"cannot rest ({why}): {error}", values=self.state.values))
        else:
            self._tell(OutputState(doing="rest", why=why, values={}))

    def _wait(self, delay_ns: int | None, then: Callable[[], None] = lambda: None) -> None:
        """Do this later, and call off what was to be done before; None: nothing."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if delay_ns is not None:
            self._watch = self._scheduler.call_at(self._scheduler.monotonic_ns() + delay_ns, then)

    def _tell(self, state: OutputState) -> None:
        changed = (state.doing, state.why) != (self.state.doing, self.state.why)
        self.state = state
        now = self._clock.monotonic_ns()
        if changed or now - self._reported_ns >= _REPORT_NS:
            self._reported_ns = now
            self._report(self.name, state)
