"""Calls an output's device, one call at a time, where it holds up nobody: the newest wish counts, and rest first."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from becomingone.devices.contract import Output
from becomingone.errors import DeviceError, DeviceUnavailableError
from becomingone.runner import Runner
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer
from becomingone.wire.announce import OutputState
from becomingone.wire.command import RANGES
from becomingone.wire.mapping import MOTOR

_LOG = logging.getLogger(__name__)

STUCK_NS: Final = NANOSECONDS
"""A call that has not returned after so many nanoseconds is told of."""

AGAIN_NS: Final = NANOSECONDS
"""A device that failed is tried again after this long."""

MOTOR_AGAIN_NS: Final = NANOSECONDS // 10
"""So is a motor that could not be put to rest."""


CLOSE_NS: Final = NANOSECONDS
"""A device that is let go has so many nanoseconds to rest; the end of a node waits for no longer."""

LEAVING_NS: Final = 2 * NANOSECONDS
"""Those that come in the place of devices that are let go are opened after that at the latest."""


class Wish(NamedTuple):
    """What a device is to do, and what may be said once it does.

    Parameters
    ----------
    values : mapping of str to float, or None
        For `Output.apply`; None for `Output.rest`.
    state : OutputState
        What the output does then.
    """

    values: Mapping[str, float] | None
    state: OutputState


def resting(why: str) -> Wish:
    """Wish for the safe state."""
    return Wish(None, OutputState(doing="rest", why=why, values={}))


def put_to_rest(name: str, device: Output) -> None:
    """Check an output's role and put it to rest, before anything else is asked of it.

    Raises
    ------
    DeviceError
        Its role is one that no command is for.
    DeviceUnavailableError
        It cannot be put to rest.
    """
    if device.role not in RANGES:
        raise DeviceError(f"{name}: the role must be one of {', '.join(RANGES)}, not {device.role!r}")
    try:
        device.rest()
    except Exception as error:
        raise DeviceUnavailableError(f"{name} cannot be put to rest: {error}") from error


def opened_at_rest(name: str, device: Output) -> Output:
    """Put a device that has just been opened to rest; one that cannot be is closed, and holds nothing any more.

    Raises
    ------
    DeviceError, DeviceUnavailableError
        See `put_to_rest`.
    """
    try:
        put_to_rest(name, device)
    except BaseException:
        close_device(name, device)
        raise
    return device


def close_device(name: str, device: Output) -> None:
    """Close a device that can be closed; what it raises is told, for nobody can do more about it."""
    close = getattr(device, "close", None)
    if close is not None:
        try:
            close()
        except Exception:  # noqa: BLE001 - whatever it is, it is told
            _LOG.exception("%s: has not been closed in an orderly way", name)


class Driver:
    """The one way to a device that is at rest.

    While a call is under way, values wait, and newer ones take their place. A rest does not wait: it is handed to the
    runner at once, which makes it the next call, and values that wait are forgotten. A device that fails is put to rest
    and left alone for `AGAIN_NS`; one that cannot be put to rest is tried again until it can, or does something else.

    Parameters
    ----------
    name : str
        The device's, for the log.
    device : Output
        What does it.
    runner : Runner
        Where its calls run, in the order in which they are submitted.
    scheduler : Scheduler
        Gives the turns.
    tell : callable
        Told what the output does, after every call.

    Attributes
    ----------
    state : OutputState
        What it does, as far as its device has said.
    refused : Counter of str
        Values that were not done: ``busy``, newer ones came while the device was; ``device``, it failed, or had just
        failed. Failures to rest, and calls that do not return, count as ``device`` too.
    """

    def __init__(
        self, name: str, device: Output, *, runner: Runner, scheduler: Scheduler, tell: Callable[[OutputState], None]
    ) -> None:
        self.state = resting("started").state
        self.refused: Counter[str] = Counter()
        self._name = name
        self._device = device
        self._again_ns = MOTOR_AGAIN_NS if device.role == MOTOR else AGAIN_NS
        self._runner = runner
        self._scheduler = scheduler
        self._tell = tell
        self._under_way: list[Wish] = []
        self._waiting: Wish | None = None
        self._failed_ns: int | None = None
        self._watch: Timer | None = None
        self._again: Timer | None = None
        self._closed: Callable[[], None] | None = None
        self._end: Timer | None = None
        self._silent = False

    @property
    def free(self) -> bool:
        """Whether values would be done at once."""
        return not self._under_way and not self._failed_lately

    @property
    def _failed_lately(self) -> bool:
        return self._failed_ns is not None and self._scheduler.monotonic_ns() - self._failed_ns < AGAIN_NS

    def close(self, wish: Wish, done: Callable[[], None]) -> None:
        """Do a last thing; call back once it is done, has failed or `CLOSE_NS` have passed, and be silent then."""
        self.want(wish)
        self._closed = done
        self._end = self._scheduler.call_at(self._scheduler.monotonic_ns() + CLOSE_NS, self._finish)

    def _finish(self) -> None:
        done, self._closed = self._closed, None
        if self._under_way:
            self._stuck()
        self._silent = True
        for timer in (self._watch, self._again, self._end):
            if timer is not None:
                timer.cancel()
        if done is not None:
            done()

    def want(self, wish: Wish) -> None:
        """Do this next."""
        if wish.values is not None and self._failed_lately:
            self.refused["device"] += 1
            return
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._waiting is not None:
            self.refused["busy"] += 1
            self._waiting = None
        if not self._under_way:
            self._submit(wish)
        elif wish.values is not None:
            self._waiting = wish
        elif self._under_way[-1].values is not None:
            self._submit(wish)
        else:  # it will rest already
            self._under_way[-1] = wish

    def _submit(self, wish: Wish) -> None:
        self._under_way.append(wish)
        if len(self._under_way) == 1:
            self._look_after()
        values, device = wish.values, self._device
        self._runner.submit(device.rest if values is None else lambda: device.apply(values), self._returned)

    def _returned(self, _result: object, error: BaseException | None) -> None:
        wish = self._under_way.pop(0)
        self._look_after()
        if error is None:
            self._failed_ns = None if wish.values is not None else self._failed_ns
            self._become(wish.state if wish.values is None else self._remarked(wish.state))
        else:
            self.refused["device"] += 1
            self._failed(wish, error)
        if self._waiting is not None and not self._under_way:
            waiting, self._waiting = self._waiting, None
            self.want(waiting)
        if self._closed is not None and not self._under_way:
            self._finish()

    def _remarked(self, state: OutputState) -> OutputState:
        remark = getattr(self._device, "remark", "")
        return state.model_copy(update={"why": f"{state.why}; {remark}"[:200]}) if remark else state

    def _failed(self, wish: Wish, error: BaseException) -> None:
        if wish.values is None:
            self._fault(f"cannot rest ({wish.state.why}): {error}")
            due = self._scheduler.monotonic_ns() + self._again_ns
            self._again = self._scheduler.call_at(due, lambda: self.want(wish))
            return
        self._failed_ns = self._scheduler.monotonic_ns()
        if not self._under_way:  # else it will rest already
            self.want(resting(f"the device failed: {error}"))

    def _look_after(self) -> None:
        """Watch over the call that is under way now."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._under_way:
            self._watch = self._scheduler.call_at(self._scheduler.monotonic_ns() + STUCK_NS, self._stuck)

    def _stuck(self) -> None:
        self.refused["device"] += 1
        call = "rest" if self._under_way[0].values is None else "apply"
        self._fault(f"the device's {call} has not returned")

    def _fault(self, why: str) -> None:
        """Say what is wrong, and not that it rests: nobody knows."""
        doing = self.state.doing if self.state.doing != "rest" else "command"
        self._become(OutputState(doing=doing, why=why, values=self.state.values))

    def _become(self, state: OutputState) -> None:
        if state.why != self.state.why and ("device" in state.why or "cannot rest" in state.why):
            _LOG.warning("%s: %s", self._name, state.why)
        self.state = state
        if not self._silent:
            self._tell(state)
