"""An output obeys fresh commands of the hub; without them a light or a sound may go on alone, and a motor rests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from becomingone.broker.link import Message
from becomingone.devices.contract import Output
from becomingone.errors import FrameError
from becomingone.node.driver import Driver, Wish, put_to_rest, resting
from becomingone.node.fade import Fade
from becomingone.node.trust import Trust
from becomingone.runner import InlineRunner, Runner
from becomingone.scheduling import MICROSECONDS, NANOSECONDS, MeshClock, Repeating, Scheduler, Timer
from becomingone.wire.announce import OutputState
from becomingone.wire.command import Freshness, decode_command, read_values
from becomingone.wire.mapping import MOTOR

MAX_COMMAND: Final = 4096
"""Bytes of a command that are looked at; ours have less than 100."""

MOTOR_STALE_S: Final = 0.15
"""Seconds without a fresh command after which a motor rests, whatever is configured; as long as its driver's own."""

MOTOR_AHEAD_S: Final = 1.0
"""Seconds that a command to a motor may hold by this clock. The hub's hold for 0.15 s: one that seems to hold for
much longer has met a clock that is behind, which could not tell that it is old."""

TURN_HZ: Final = 20.0
"""Values a second while an output follows this node's rhythm, or fades from one source to another."""

_REPORT_NS: Final = NANOSECONDS
"""The state is published at most once a second while only the values change."""

Alone = Callable[[str, str | None], Mapping[str, float] | None]
"""Gives values for a role and a band from this node's own rhythm; None where it has none."""


class OutputRunner:
    """One output.

    Parameters
    ----------
    name : str
        The device's name.
    device : Output
        What does it; put to rest at once.
    stale_s : float
        Seconds without a fresh command after which the hub counts as gone, on this node's own monotonic clock; for a
        motor at most `MOTOR_STALE_S`.
    clock : MeshClock
        Decides whether a command has expired.
    scheduler : Scheduler
        Gives the turns.
    report : callable
        Publishes the output's state.
    trust : Trust
        Tells whether a command is the hub's, and of those that are refused.
    runner : Runner
        Where the device's calls run; without one, in the scheduler's own turns.
    alone : callable
        Gives values while the hub is gone; without it the output rests at once.
    alone_s : float
        Seconds for which it is asked.
    band : str or None
        The band to follow alone; None: any.
    rested : bool
        The device has been through `put_to_rest` already.

    Raises
    ------
    DeviceError, DeviceUnavailableError
        See `put_to_rest`.
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
        runner: Runner | None = None,
        alone: Alone | None = None,
        alone_s: float = 0.0,
        band: str | None = None,
        rested: bool = False,
    ) -> None:
        if not rested:
            put_to_rest(name, device)
        self.name = name
        self.role = device.role
        self._moves = self.role == MOTOR
        self._stale_ns = int((min(stale_s, MOTOR_STALE_S) if self._moves else stale_s) * NANOSECONDS)
        self._clock = clock
        self._scheduler = scheduler
        self._report = report
        self._trust = trust or Trust(None, 0)
        self._alone = None if self._moves or alone_s <= 0.0 else alone
        self._alone_s = alone_s
        self._band = band
        self._driver = Driver(
            name, device, runner=runner or InlineRunner(scheduler), scheduler=scheduler, tell=self._tell
        )
        self._refused: Counter[str] = Counter()
        self._freshness = Freshness()
        self._wanted = resting("started")
        self._shown = False
        self._closed = False
        self._fade = Fade()
        self._told = self._driver.state
        self._told_ns = -_REPORT_NS
        self._watch: Timer | None = None
        self._end_of_show: Timer | None = None
        self._turns: Repeating | None = None

    @property
    def state(self) -> OutputState:
        """What it does and why, as far as its device has said."""
        return self._driver.state

    @property
    def refused(self) -> Counter[str]:
        """Commands that were refused, or obeyed in vain, by reason."""
        return self._refused + self._driver.refused

    # -- what is asked of it ---------------------------------------------------------------------------------------

    def command(self, message: Message) -> None:
        """Obey a command, or refuse and count it."""
        if self._closed:
            self._refused["unavailable"] += 1
            return
        now_us = self._clock.now_us()
        try:
            if len(message.payload) > MAX_COMMAND:
                raise FrameError("oversize", f"{len(message.payload)} bytes, a command has at most {MAX_COMMAND}")
            command = decode_command(self._trust.open(message.topic, message.payload), self.role)
            if self._moves and command.expires_us - now_us > MOTOR_AHEAD_S * MICROSECONDS:
                raise FrameError("future", "it would hold for too long by this node's clock, which may be behind")
            self._freshness.check(command, now_us)
        except FrameError as error:
            self._refused[error.reason] += 1
            self._trust.audit.note(self.name, message.topic, error, self._clock.monotonic_ns())
            return
        holds_ns = self._stale_ns
        if self._moves:
            holds_ns = min(holds_ns, (command.expires_us - now_us) * 1_000)
        self._wait(holds_ns, lambda: self.lose("no fresh command"))
        if self._wanted.state.doing == "alone":
            self._fade.begin(self.state.values, self._clock.monotonic_ns())
            self._turn_on()
        elif not self._fade.under_way:
            self._turn_off()
        values = dict(command.values)
        obeying = OutputState(
            doing="command", why="the hub's command", values=values, hub_boot=command.boot, id=command.id
        )
        self._wanted = Wish(values, obeying)
        if not self._shown:
            self._driver.want(self._faded(self._wanted))

    def lose(self, why: str) -> None:
        """Go on without the hub: a display or speaker that followed it follows this node's rhythm, the rest rests."""
        if self._wanted.state.doing != "command":
            return
        if self._alone is None:
            self.rest(why)
            return
        self._wait(int(self._alone_s * NANOSECONDS), lambda: self.rest(f"alone for {self._alone_s:g} s: {why}"))
        self._fade.begin(self.state.values, self._clock.monotonic_ns())
        self._wanted = Wish(None, OutputState(doing="alone", why=why, values={}))
        self._turn_on()
        self._turn()

    def rest(self, why: str) -> None:
        """Go to the safe state and say why; a device that fails to is tried again until it does or obeys a command."""
        self._wait(None)
        self._turn_off()
        self._end_show()
        self._wanted = resting(why)
        self._driver.want(self._wanted)

    def close(self, why: str, done: Callable[[], None] = lambda: None) -> None:
        """Rest for good; call back once it does, cannot or has had 1 s for it, and report nothing any more."""
        self._closed = True
        self._wait(None)
        self._turn_off()
        self._end_show()
        self._wanted = resting(why)
        self._driver.close(self._wanted, done)

    def show(self, values: Mapping[str, float], why: str, seconds: float) -> bool:
        """Do something else for a while, whatever the hub says, and then go on with what would have been done.

        Parameters
        ----------
        values : mapping of str to float
            Of this output's role.
        why : str
            What the state says.
        seconds : float
            For how long; a rest ends it at once.

        Returns
        -------
        bool
            False for a motor, which does nothing of the kind, and after `close`.

        Raises
        ------
        FrameError
            A value is not of this role, or out of its range.
        """
        if self._moves or self._closed:
            return False
        shown = read_values(dict(values), self.role)
        self._end_show()
        self._shown = True
        due = self._scheduler.monotonic_ns() + int(seconds * NANOSECONDS)
        self._end_of_show = self._scheduler.call_at(due, self._go_on)
        self._driver.want(Wish(shown, OutputState(doing="command", why=why, values=shown)))
        return True

    # -- following -------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Go on alone, or with a fade."""
        wanted = self._wanted
        if wanted.state.doing == "alone":
            wanted = self._on_its_own(wanted.state.why)
        elif not self._fade.under_way:
            self._turn_off()
        if not self._shown and self._driver.free and (wanted.values is not None or wanted.state != self.state):
            self._driver.want(self._faded(wanted))

    def _on_its_own(self, why: str) -> Wish:
        values = self._alone(self.role, self._band) if self._alone is not None else None
        if values is None:
            return resting(f"{why}, and nothing here is coherent")
        return Wish(values, OutputState(doing="alone", why=why, values=dict(values)))

    def _faded(self, wish: Wish) -> Wish:
        if wish.values is None or not self._fade.under_way:
            return wish
        values = self._fade.mix(wish.values, self._clock.monotonic_ns())
        return Wish(values, wish.state.model_copy(update={"values": values}))

    def _turn_on(self) -> None:
        if self._turns is None:
            self._turns = Repeating(self._scheduler, int(NANOSECONDS / TURN_HZ), self._turn)

    def _turn_off(self) -> None:
        if self._turns is not None:
            self._turns.cancel()
            self._turns = None
        self._fade.end()

    def _end_show(self) -> None:
        self._shown = False
        if self._end_of_show is not None:
            self._end_of_show.cancel()
            self._end_of_show = None

    def _go_on(self) -> None:
        self._end_show()
        if self._wanted.state.doing == "alone":
            self._turn()
        else:
            self._driver.want(self._wanted)

    def _wait(self, delay_ns: int | None, then: Callable[[], None] = lambda: None) -> None:
        """Do this later, and call off what was to be done before; None: nothing."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if delay_ns is not None:
            self._watch = self._scheduler.call_at(self._scheduler.monotonic_ns() + delay_ns, then)

    def _tell(self, state: OutputState) -> None:
        changed = (state.doing, state.why) != (self._told.doing, self._told.why)
        now = self._clock.monotonic_ns()
        if changed or now - self._told_ns >= _REPORT_NS:
            self._told, self._told_ns = state, now
            self._report(self.name, state)
