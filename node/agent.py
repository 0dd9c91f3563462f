"""The agent: devices to frames, commands to outputs, and a truthful account of itself.

It runs in the turns of one scheduler, real or virtual, over one link, real or simulated: there is no other path. Here
its parts are put together; each does its work in a file of its own.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypedDict

from becomingone.broker.link import Link, Will
from becomingone.broker.presence import Presence
from becomingone.errors import FrameError
from becomingone.kairos.bands import HARDWARE_CLASSES
from becomingone.node.account import Account
from becomingone.node.actuators import Actuators
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import Loaded
from becomingone.node.control import Control
from becomingone.node.describe import describe
from becomingone.node.desired import DesiredConfig
from becomingone.node.hub_watch import HubWatch
from becomingone.node.identify import Identify
from becomingone.node.inputs import Inputs
from becomingone.node.keeping import Keeping
from becomingone.node.live import LiveFrames
from becomingone.node.machine import Machine
from becomingone.node.obey import handlers
from becomingone.node.operations import Operations
from becomingone.node.outputs import OutputRunner
from becomingone.node.pipeline import ChannelId
from becomingone.node.readiness import Readiness
from becomingone.node.timesync import TimeSync
from becomingone.node.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock, Scheduler
from becomingone.vitals import cpu_s, cpu_temperature_c, rss_bytes
from becomingone.wire.announce import About, Health, State
from becomingone.wire.frame import PhaseFrame, encode_frame
from becomingone.wire.topics import Topics

_LOG = logging.getLogger(__name__)


class _Wiring(TypedDict):
    link: Link
    topics: Topics
    trust: Trust


class _Timing(TypedDict):
    clock: MeshClock
    scheduler: Scheduler
    boot: int


class NodeAgent:
    """A node.

    Parameters
    ----------
    loaded : Loaded
        What it is and has.
    machine : Machine
        What it stands on.
    """

    def __init__(self, loaded: Loaded, machine: Machine) -> None:
        config, boot = loaded.config, machine.boot
        clock, scheduler = machine.clock, machine.scheduler
        self._dropped: Counter[str] = Counter()
        self._kept = 0
        self._loaded = loaded
        self._machine = machine
        self._started_ns = scheduler.monotonic_ns()
        self._trust = trust = Trust(config.security.node_key(), boot)
        self._topics = topics = Topics(config.root, config.cell)
        will = Will(topics.state(config.node), State.LOST.encode())
        self._link = link = machine.links(topics.client_id("node", config.node), will)
        wiring: _Wiring = {"link": link, "topics": topics, "trust": trust}
        timing: _Timing = {"clock": clock, "scheduler": scheduler, "boot": boot}
        self._presence = Presence(link, topics.state(config.node), scheduler)
        self._live = LiveFrames(link, self._presence, scheduler)
        self._account = Account(
            config.node, machine, **wiring, presence=self._presence, about=self._about, health=self._vitals
        )
        note = loaded.why if loaded.mode == "normal" else f"{loaded.mode} mode: {loaded.why}"
        self._readiness = Readiness(machine.host, scheduler, note=note)
        self._keeping = Keeping(
            config.node,
            **wiring,
            **timing,
            store=machine.store,
            late_per_s=config.spool.late_per_s,
            presence=self._presence,
            held=lambda: config.clock.sync and not clock.steered and self._hub.fresh,
        )
        self._timesync = TimeSync(
            config.node, **wiring, **timing, rng=machine.rng, on_first=self._keeping.retry, period_s=_shortest_s(config)
        )
        self._control = Control(
            config.node,
            bands=config.band_plan(),
            section=config.emissary,
            **wiring,
            verifier=machine.verifier,
            **timing,
            on_cell_size=self._resize,
            p_false=config.kairos.p_false,
            output_bands=_output_bands(config),
            signed=trust.authenticated,
            followed=bool(config.outputs),
        )
        self._desired = DesiredConfig(config.node, **wiring, clock=clock, changed=self._account.publish_about)
        self._inputs = Inputs(config, machine, emit=self._emit, changed=self._devices_changed)
        self._actuators = Actuators(config, machine, **wiring, alone=self._control.alone, changed=self._devices_changed)
        self._hub = HubWatch(
            link=link,
            topics=topics,
            clock=scheduler,
            audit=trust.audit,
            on_gone=self._actuators.lose,
            on_ready=self._keeping.retry,
        )
        self._identify = Identify(lambda: self.outputs, scheduler=scheduler, led=machine.led)
        self._operations = Operations(
            config.node,
            **wiring,
            clock=clock,
            boot=boot,
            verbs=handlers(machine.host, self._identify, rebirth=self._say_again, realign=self._control.realign),
        )

    def start(self) -> None:
        """Connect, open the devices, sample."""
        link, presence = self._link, self._presence
        link.on_up(self._announce)
        link.on_down(self._readiness.down)
        presence.start()  # after the announcement: a hub that sees the state knows the rest
        presence.on_confirmed(self._account.publish_health)
        presence.on_confirmed(self._readiness.up)
        self._readiness.start()
        for part in (self._operations, self._hub, self._desired, self._keeping):
            part.start()
        if self.config.clock.sync:
            self._timesync.start()
        self._control.start()
        self._actuators.start()
        link.start()
        self._inputs.start()
        self._account.pace(self.config.health_s)
        self._devices_changed()

    def stop(self, done: Callable[[], None], state: State = State.DISCONNECTED) -> None:
        """Put outputs to rest, publish what happened and the state that stays, say goodbye, call back.

        The state is `State.SLEEPING` for a node that means to come back by itself.
        """

        def leave() -> None:
            self.halt()
            self._live.close()
            self._account.publish_health()
            self._presence.leave(done, state)

        self._identify.end()
        self._readiness.close()
        self._actuators.close("the node stops", leave)  # before anything that could hold it up: motors first

    def halt(self) -> None:
        """Stop sampling at once, without a word: what remains of a power cut when the link is cut too."""
        for part in (self._account, self._timesync, self._control, self._inputs, self._keeping):
            part.close()

    def apply(self, loaded: Loaded) -> None:
        """Become what another configuration says, as far as that needs no restart."""
        self._loaded = loaded
        config = loaded.config
        self._actuators.apply(config)
        self._inputs.apply(config)
        self._control.apply(config.emissary, _output_bands(config), followed=bool(config.outputs))
        self._keeping.pace(config.spool.late_per_s)
        self._account.pace(config.health_s)
        self._account.publish_about()

    @property
    def config(self) -> NodeConfig:
        """What it is and has."""
        return self._loaded.config

    @property
    def state(self) -> State:
        """How the node is."""
        return self._presence.state

    @property
    def frames(self) -> int:
        """Frames handed to the link, or kept for the hub."""
        return self._live.sent + self._kept

    @property
    def dropped(self) -> Counter[str]:
        """Frames that were made and could not be handed over, by reason."""
        return self._dropped + self._live.dropped

    @property
    def refused(self) -> Counter[str]:
        """Messages that were refused, by reason."""
        parts = (
            self._operations,
            self._actuators,
            self._timesync,
            self._control,
            self._hub,
            self._keeping,
            self._desired,
        )
        return sum((part.refused for part in parts), Counter[str]())

    @property
    def outputs(self) -> Mapping[str, OutputRunner]:
        """The outputs that have been opened, by name."""
        return self._actuators.outputs

    def hung(self) -> str | None:
        """Say what hangs that a restart may cure, if anything does."""
        return self._inputs.hung()

    def _emit(self, identity: ChannelId, frame: PhaseFrame) -> None:
        try:
            if self._inputs.keeps(identity.channel):
                self._keeping.keep(identity, frame)
                self._kept += 1
            else:
                topic = self._topics.phase(self.config.node, identity.band, identity.channel)
                self._live.offer(topic, self._trust.seal(topic, encode_frame(frame)))
        except FrameError as error:
            self._dropped[error.reason] += 1
            if self._dropped[error.reason] == 1:  # they may be thousands a second
                _LOG.error("%s/%s: frames of our own are refused: %s", identity.band, identity.channel, error)
            return
        self._control.evidence(identity, frame)

    def _resize(self, nodes: int) -> None:
        self._link.set_cell_size(nodes)
        self._timesync.set_cell_size(nodes)

    # -- what it says of itself ------------------------------------------------------------------------------------

    def _devices_changed(self) -> None:
        """Be ready once every device has either delivered or failed: a node without its sensor still says so."""
        statuses = self._inputs.statuses | self._actuators.statuses
        config = self.config
        self._readiness.devices([entry.name for entry in (*config.inputs, *config.outputs)], statuses)
        self._account.publish_about()
        if self.state is State.INIT and self._inputs.settled and self._actuators.settled:
            self._presence.become(State.READY)

    def _announce(self) -> None:
        self._account.publish_about()
        self._actuators.announce()

    def _say_again(self) -> None:
        """Describe this node again: a hub has seen frames of it without knowing it."""
        self._announce()
        self._presence.become(self.state)
        self._account.publish_health()

    def _about(self) -> About:
        return describe(
            channels=self._inputs.channels,
            statuses=self._inputs.statuses | self._actuators.statuses,
            outputs={name: output.role for name, output in self.outputs.items()},
            loaded=self._loaded,
            desired_sha256=self._desired.sha256,
            boot=self._machine.boot,
            pid=self._machine.pid,
            host=self._machine.host_name,
        )

    def _vitals(self) -> Health:
        machine, dropped, kept = self._machine, self.dropped, self._keeping.figures
        return Health(
            uptime_s=(machine.scheduler.monotonic_ns() - self._started_ns) / NANOSECONDS,
            frames=self.frames,
            dropped=dropped.total(),
            dropped_reasons=dict(dropped),
            rss_bytes=rss_bytes() if machine.pid else None,
            cpu_s=cpu_s() if machine.pid else 0.0,
            temperature_c=cpu_temperature_c() if machine.pid else None,
            clock_sigma_s=machine.clock.sigma_s,
            clock_source=self._timesync.source,
            clock_offset_s=self._timesync.offset_s,
            refused_commands=dict(self.refused),
            waiting=len(self._live),
            kept=kept.count,
            kept_bytes=kept.bytes,
            kept_lost=kept.lost,
            kept_fault=kept.fault,
        )


def _shortest_s(config: NodeConfig) -> float:
    """Give the shortest period of the bands that this node can take part in, s; 0 where there is none."""
    low, high = HARDWARE_CLASSES[config.hardware]
    named = {name for entry in config.inputs for name in entry.bands or config.bands} | _output_bands(config)
    periods = [band.period_s for band in config.band_plan() if band.name in named and low <= band.tau_s <= high]
    return min(periods, default=0.0)


def _output_bands(config: NodeConfig) -> set[str]:
    return {entry.band for entry in config.outputs if entry.band is not None}
