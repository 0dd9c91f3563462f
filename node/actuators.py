"""The node's outputs: opened, retried when they are not there, driven by the hub's commands."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

from becomingone.broker.backoff import Backoff
from becomingone.broker.link import Link, Message
from becomingone.devices.contract import Output
from becomingone.errors import TopicError
from becomingone.node.config import NodeConfig, OutputSection, device_of
from becomingone.node.driver import LEAVING_NS, close_device, opened_at_rest
from becomingone.node.machine import Machine
from becomingone.node.outputs import Alone, OutputRunner
from becomingone.node.sampler import STALL_S, Status
from becomingone.node.trust import Trust
from becomingone.runner import Runner
from becomingone.scheduling import NANOSECONDS, Timer
from becomingone.wire.announce import OutputState
from becomingone.wire.mapping import MOTOR
from becomingone.wire.topics import Topics

_LOG = logging.getLogger(__name__)


class _Actuator:
    """One output, from its section to its device."""

    def __init__(self, entry: OutputSection, runner: Runner, backoff: Backoff) -> None:
        self.entry = entry
        self.runner = runner
        self.backoff = backoff
        self.output: OutputRunner | None = None
        self.device: Output | None = None
        self.retry: Timer | None = None
        self.stall: Timer | None = None
        self.waits = False
        self.opening = False


class Actuators:
    """All outputs of a node.

    Parameters
    ----------
    config : NodeConfig
        Which there are.
    machine : Machine
        What they stand on.
    link : Link
        Brings commands, and takes the outputs' states.
    topics : Topics
        The cell's topics.
    trust : Trust
        Tells whether a command is the hub's.
    alone : callable
        Gives an output values from this node's own rhythm.
    changed : callable
        Called when an output has become available, or unavailable.

    Attributes
    ----------
    statuses : dict of str to Status
        Each output that has been opened or could not be, by name.
    """

    def __init__(
        self,
        config: NodeConfig,
        machine: Machine,
        *,
        link: Link,
        topics: Topics,
        trust: Trust,
        alone: Alone,
        changed: Callable[[], None],
    ) -> None:
        self.statuses: dict[str, Status] = {}
        self._refused: Counter[str] = Counter()
        self._config = config
        self._machine = machine
        self._link = link
        self._topics = topics
        self._trust = trust
        self._alone = alone
        self._changed = changed
        self._actuators: dict[str, _Actuator] = {}
        self._leaving: set[_Actuator] = set()
        self._unsaid: set[str] = set()
        self._closed = False

    def start(self) -> None:
        """Take commands, and open all of them; each goes to rest at once."""
        self._link.subscribe(self._topics.output_set(self._config.node, "+"), self._command, qos=1)
        self._link.on_down(lambda _reason: self.lose("the broker is out of reach"))
        for entry in self._config.outputs:
            self._add(entry)

    def announce(self) -> None:
        """Publish every output's state; nobody speaks for those that are not there."""
        for output in self.outputs.values():
            self._report(output.name, output.state)
        unsaid, self._unsaid = self._unsaid, set()
        for name in sorted(unsaid | {name for name, one in self._actuators.items() if one.output is None}):
            self._withdraw(name)

    def lose(self, why: str) -> None:
        """Go on without the hub: motors rest, what may follows this node's own rhythm for a while."""
        for output in self.outputs.values():
            output.lose(why)

    def close(self, why: str, done: Callable[[], None] = lambda: None) -> None:
        """Put every output to rest, let it go, and call back."""
        self._closed = True
        awaited = {name: one for name, one in self._actuators.items() if one.output is not None}
        for one in self._actuators.values():
            if one.output is None:
                self._let_go(one)
        if not awaited:
            done()
            return

        def rested(name: str) -> None:
            self._let_go(awaited.pop(name))
            if not awaited:
                done()

        for name, output in self.outputs.items():
            output.close(why, partial(rested, name))

    def apply(self, config: NodeConfig) -> None:
        """Become what another configuration says: outputs whose section is the same go on undisturbed."""
        if self._closed:
            return
        self._config = config
        wanted = {entry.name: entry for entry in config.outputs}
        for name, actuator in list(self._actuators.items()):
            if wanted.get(name) != actuator.entry:
                self._remove(name)
        for entry in config.outputs:
            if entry.name not in self._actuators:
                self._add(entry)
        self._changed()

    @property
    def outputs(self) -> Mapping[str, OutputRunner]:
        """Those that have been opened, by name; motors first, which is the order in which they go to rest."""
        opened = {name: one.output for name, one in self._actuators.items() if one.output is not None}
        return dict(sorted(opened.items(), key=lambda item: item[1].role != MOTOR))

    @property
    def settled(self) -> bool:
        """Whether every output has been opened, or could not be."""
        return len(self.statuses) == len(self._actuators)

    @property
    def refused(self) -> Counter[str]:
        """Commands that were refused, by reason."""
        total = Counter(self._refused)
        for output in self.outputs.values():
            total.update(output.refused)
        return total

    def _command(self, message: Message) -> None:
        try:
            name = self._topics.parse_node(message.topic).rest[0]
        except TopicError:
            name = ""
        actuator = self._actuators.get(name)
        if actuator is None:
            self._refused["unknown_output"] += 1
        elif actuator.output is None:
            self._refused["unavailable"] += 1
        else:
            actuator.output.command(message)

    def _add(self, entry: OutputSection) -> None:
        scheduler = self._machine.scheduler
        rng = random.Random(self._machine.rng.random())  # noqa: S311 - spreads retries
        actuator = _Actuator(entry, self._machine.make_runner(entry.name), Backoff(rng, base_s=0.5, cap_s=30.0))
        self._actuators[entry.name] = actuator
        self._unsaid.discard(entry.name)
        if self._leaving:  # theirs may be the pins that this one needs
            actuator.waits = True
            actuator.retry = scheduler.call_at(scheduler.monotonic_ns() + LEAVING_NS, lambda: self._open(actuator))
        else:
            self._open(actuator)

    def _open(self, actuator: _Actuator) -> None:
        entry, drop_in, ports = actuator.entry, self._config.drop_in, self._machine.ports
        actuator.retry, actuator.waits, actuator.opening = None, False, True

        def make() -> Output:
            module, options = device_of(entry, drop_in)
            return opened_at_rest(entry.name, module.device(options, ports))

        stalled, scheduler = Status(available=False, reason="its opening has not returned"), self._machine.scheduler
        due = scheduler.monotonic_ns() + int(STALL_S * NANOSECONDS)
        actuator.stall = scheduler.call_at(due, lambda: self._set_status(actuator, stalled))
        actuator.runner.submit(make, lambda device, error: self._made(actuator, device, error))

    def _made(self, actuator: _Actuator, device: object, error: BaseException | None) -> None:
        actuator.opening = False
        if actuator.stall is not None:
            actuator.stall.cancel()
        if error is not None:
            self._failed(actuator, error)
            return
        actuator.device = cast("Output", device)
        entry = actuator.entry
        if self._closed or self._actuators.get(entry.name) is not actuator:
            self._let_go(actuator)
            return
        actuator.output = OutputRunner(
            entry.name,
            actuator.device,
            stale_s=entry.stale_s,
            clock=self._machine.clock,
            scheduler=self._machine.scheduler,
            report=self._report,
            trust=self._trust,
            runner=actuator.runner,
            alone=self._alone,
            alone_s=entry.alone_s,
            band=entry.band,
            rested=True,
        )
        actuator.backoff.succeeded()
        _LOG.info("%s: available", entry.name)
        self._report(entry.name, actuator.output.state)
        self._set_status(actuator, Status(available=True))

    def _failed(self, actuator: _Actuator, error: BaseException) -> None:
        if self._closed or self._actuators.get(actuator.entry.name) is not actuator:
            self._let_go(actuator)
            return
        _LOG.debug("%s failed", actuator.entry.name, exc_info=error)
        self._set_status(actuator, Status(available=False, reason=f"{error}" or type(error).__name__))
        due = self._machine.scheduler.monotonic_ns() + actuator.backoff.next_ns()
        actuator.retry = self._machine.scheduler.call_at(due, lambda: self._open(actuator))

    def _remove(self, name: str) -> None:
        actuator = self._actuators.pop(name)
        self.statuses.pop(name, None)
        self._leaving.add(actuator)

        def rested() -> None:
            self._let_go(actuator)
            if name not in self._actuators:
                self._withdraw(name)

        if actuator.output is None:
            rested()
        else:
            self._refused.update(actuator.output.refused)
            actuator.output.close("the configuration has changed", rested)

    def _let_go(self, actuator: _Actuator) -> None:
        for timer in (actuator.retry, actuator.stall):
            if timer is not None:
                timer.cancel()
        if actuator.device is not None:
            close = partial(close_device, actuator.entry.name, actuator.device)
            actuator.runner.submit(close, lambda _result, _error: self._left(actuator))
        elif not actuator.opening:
            self._left(actuator)
        if not actuator.opening:  # else it is closed then
            actuator.runner.close()
        actuator.output = actuator.device = None

    def _left(self, actuator: _Actuator) -> None:
        """Open what waits, once nothing is on its way out."""
        self._leaving.discard(actuator)
        if not self._leaving and not self._closed:
            for one in [one for one in self._actuators.values() if one.waits]:
                if one.retry is not None:
                    one.retry.cancel()
                self._open(one)

    def _withdraw(self, name: str) -> None:
        """Take back what was said of an output that is not there; with the next connection, where there is none."""
        if not self._link.publish(self._topics.output_state(self._config.node, name), b"", qos=1, retain=True):
            self._unsaid.add(name)

    def _report(self, name: str, state: OutputState) -> None:
        topic = self._topics.output_state(self._config.node, name)
        self._link.publish(topic, state.model_dump_json().encode(), qos=1, retain=True)

    def _set_status(self, actuator: _Actuator, status: Status) -> None:
        name = actuator.entry.name
        if self.statuses.get(name) != status:
            self.statuses[name] = status
            if not status.available:
                _LOG.warning("%s: unavailable: %s", name, status.reason)
            self._changed()
