"""The agent: devices to frames, commands to outputs, and a truthful account of itself.

It runs in the turns of one scheduler, real or virtual, over one link, real or simulated: there is no other path.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence

from becomingone.broker.link import Link, LinkFactory, Message, Will
from becomingone.broker.presence import Presence
from becomingone.devices.contract import Block, Output, Ports, Sensor
from becomingone.errors import FrameError
from becomingone.node.config import InputSection, NodeConfig, device_of
from becomingone.node.describe import describe, plan_channels
from becomingone.node.outputs import OutputRunner
from becomingone.node.pipeline import ChannelId, ChannelPipeline, DevicePipeline
from becomingone.node.runner import Runner
from becomingone.node.sampler import Sampler, Status
from becomingone.node.trust import Trust
from becomingone.node.vitals import cpu_s, rss_bytes
from becomingone.scheduling import NANOSECONDS, MeshClock, Repeating, Scheduler
from becomingone.wire.announce import ChannelAbout, Health, OutputState, State
from becomingone.wire.command import Freshness, decode_node_command
from becomingone.wire.frame import PhaseFrame, encode_frame
from becomingone.wire.topics import Topics

_LOG = logging.getLogger(__name__)


class NodeAgent:
    """A node.

    Parameters
    ----------
    config : NodeConfig
        What it is and has.
    config_sha256 : str
        Digest of the effective configuration, for ``about``.
    boot : int
        The boot id.
    links : callable
        Makes the link to the broker.
    ports : Ports
        The hardware.
    clock : MeshClock
        The node's clocks.
    scheduler : Scheduler
        Gives the turns.
    make_runner : callable
        Makes, for a device's name, where its blocking calls run.
    rng : random.Random
        Spreads retries.
    pid : int
        The process, for ``about``; 0 where it has none of its own.

    Raises
    ------
    BecomingOneError
        An output's hardware cannot be had.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        config_sha256: str,
        boot: int,
        links: LinkFactory,
        ports: Ports,
        clock: MeshClock,
        scheduler: Scheduler,
        make_runner: Callable[[str], Runner],
        rng: random.Random,
        pid: int,
    ) -> None:
        self.config = config
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._sha256 = config_sha256
        self._boot = boot
        self._ports = ports
        self._clock = clock
        self._scheduler = scheduler
        self._pid = pid
        self._frames = 0
        self._trust = Trust(config.security.node_key(), boot)
        self._freshness = Freshness()
        self._started_ns = scheduler.monotonic_ns()
        self._topics = Topics(config.root, config.cell)
        self._link: Link = links(
            self._topics.client_id("node", config.node),
            Will(self._topics.state(config.node), State.LOST.encode()),
        )
        self._presence = Presence(self._link, self._topics.state(config.node), scheduler)
        self._pipelines: dict[ChannelId, ChannelPipeline] = {}
        self._feeds: dict[str, DevicePipeline] = {}
        self._channels: dict[str, list[ChannelAbout]] = {}
        self._phase_topics: dict[ChannelId, str] = {}
        self._statuses: dict[str, Status] = {}
        self._samplers = [
            self._make_sampler(entry, make_runner, random.Random(rng.random()))  # noqa: S311 - spreads retries
            for entry in config.inputs
        ]
        self._outputs = self._make_outputs()
        self._health: Repeating | None = None

    def start(self) -> None:
        """Connect, open the devices, sample."""
        link, topics, node = self._link, self._topics, self.config.node
        link.on_up(self._announce)
        self._presence.start()  # after the announcement: a hub that sees the state knows the rest
        self._presence.on_confirmed(self._publish_health)
        link.on_down(self._link_lost)
        link.subscribe(topics.command(node, "rebirth"), self._rebirth, qos=1)
        for output in self._outputs.values():
            link.subscribe(topics.output_set(node, output.name), output.command, qos=1)
        link.start()
        for sampler in self._samplers:
            sampler.start()
        period = int(self.config.health_s * NANOSECONDS)
        self._health = Repeating(self._scheduler, period, self._publish_health)
        self._become_ready_when_settled()

    def stop(self, done: Callable[[], None]) -> None:
        """Put outputs to rest, publish what happened and ``disconnected``, say goodbye, call back."""
        self._stop_turns()
        for output in self._outputs.values():
            output.rest("the node stops")
        self._publish_health()
        self._presence.leave(done)

    def _stop_turns(self) -> None:
        if self._health is not None:
            self._health.cancel()
        for sampler in self._samplers:
            sampler.close()

    def halt(self) -> None:
        """Stop sampling at once, without a word: what remains of a power cut when the link is cut too."""
        self._stop_turns()

    @property
    def state(self) -> State:
        """How the node is."""
        return self._presence.state

    @property
    def client_id(self) -> str:
        """The MQTT client identifier of the node's link."""
        return self._link.client_id

    # -- devices ---------------------------------------------------------------------------------------------------

    def _make_sampler(self, entry: InputSection, make_runner: Callable[[str], Runner], rng: random.Random) -> Sampler:
        module, options = device_of(entry, self.config.drop_in)
        return Sampler(
            entry.name,
            lambda: module.device(options, self._ports),
            clock=self._clock,
            scheduler=self._scheduler,
            runner=make_runner(entry.name),
            rng=rng,
            frames_per_s=self.config.frames_per_s,
            on_open=lambda device: self._opened(entry, device),
            on_blocks=lambda blocks: self._take(entry.name, blocks),
            on_status=lambda status: self._status_changed(entry.name, status),
        )

    def _make_outputs(self) -> dict[str, OutputRunner]:
        outputs: dict[str, OutputRunner] = {}
        for entry in self.config.outputs:
            module, options = device_of(entry, self.config.drop_in)
            device: Output = module.device(options, self._ports)
            outputs[entry.name] = OutputRunner(
                entry.name,
                device,
                stale_s=entry.stale_s,
                clock=self._clock,
                scheduler=self._scheduler,
                report=self._publish_output,
                trust=self._trust,
            )
        return outputs

    def _opened(self, entry: InputSection, device: Sensor) -> None:
        """Connect a device that has been opened, for the first time or again, to its pipelines."""
        taken = {about.name for name, abouts in self._channels.items() if name != entry.name for about in abouts}
        planned = plan_channels(
            self.config,
            entry,
            device,
            boot=self._boot,
            clock=self._clock,
            taken=taken,
            pipelines=self._pipelines,
        )
        previous = self._channels.get(entry.name)
        self._channels[entry.name] = [about for about, _ in planned]
        self._feeds[entry.name] = DevicePipeline([pair for _, pairs in planned for pair in pairs])
        for about, _ in planned:
            for band in about.bands:
                self._phase_topics[ChannelId(band, about.name)] = self._topics.phase(self.config.node, band, about.name)
        if previous != self._channels[entry.name]:
            self._publish_about()

    def _take(self, device: str, blocks: Sequence[Block]) -> None:
        self._feeds[device].take(blocks, self._emit)

    def _emit(self, identity: ChannelId, frame: PhaseFrame) -> None:
        try:
            payload = encode_frame(frame)
        except FrameError as error:
            self.dropped[error.reason] += 1
            _LOG.error("%s/%s: a frame of our own was refused: %s", identity.band, identity.channel, error)
            return
        topic = self._phase_topics[identity]
        # Not before this node's description has been routed: a hub could make nothing of them.
        if self._presence.confirmed and self._link.publish(topic, self._trust.seal(topic, payload)):
            self._frames += 1
        elif self._frames:  # before the first connection there was nobody to miss it
            self.dropped["link down"] += 1

    def _status_changed(self, device: str, status: Status) -> None:
        self._statuses[device] = status
        self._publish_about()
        self._become_ready_when_settled()

    # -- what it says of itself ------------------------------------------------------------------------------------

    def _become_ready_when_settled(self) -> None:
        """Be ready once every device has either delivered or failed: a node without its sensor still says so."""
        if self.state is State.INIT and len(self._statuses) == len(self.config.inputs):
            self._presence.become(State.READY)

    def _announce(self) -> None:
        self._publish_about()
        for output in self._outputs.values():
            self._publish_output(output.name, output.state)

    def _link_lost(self, _reason: str) -> None:
        for output in self._outputs.values():
            if output.state.doing != "rest":
                output.rest("the broker is out of reach")

    def _rebirth(self, message: Message) -> None:
        """Describe this node again: a hub has seen frames of it without knowing it."""
        try:
            command = decode_node_command(self._trust.open(message.topic, message.payload))
            self._freshness.check(command, self._clock.now_us())
        except FrameError as error:
            self.refused[error.reason] += 1
            self._trust.audit.note("rebirth", message.topic, error, self._clock.monotonic_ns())
        else:
            self._announce()
            self._presence.become(self.state)
            self._publish_health()

    def _publish_about(self) -> None:
        if self._link.connected:
            channels = [about for abouts in self._channels.values() for about in abouts]
            about = describe(
                self.config,
                channels=channels,
                statuses=self._statuses,
                roles={output.name: output.role for output in self._outputs.values()},
                config_sha256=self._sha256,
                boot=self._boot,
                pid=self._pid,
            )
            topic = self._topics.about(self.config.node)
            payload = self._trust.seal_json(topic, about.model_dump_json().encode())
            self._link.publish(topic, payload, qos=1, retain=True)

    def _publish_health(self) -> None:
        self._trust.audit.flush(self._clock.monotonic_ns())
        if not self._presence.confirmed:  # as with frames: a broker may give what it stores before what it routes
            return
        refused = Counter(self.refused)
        for output in self._outputs.values():
            refused.update(output.refused)
        health = Health(
            uptime_s=(self._scheduler.monotonic_ns() - self._started_ns) / NANOSECONDS,
            frames=self._frames,
            dropped=self.dropped.total(),
            dropped_reasons=dict(self.dropped),
            rss_bytes=rss_bytes() if self._pid else None,
            cpu_s=cpu_s() if self._pid else 0.0,
            clock_sigma_s=self._clock.sigma_s,
            refused_commands=dict(refused),
        )
        self._link.publish(self._topics.health(self.config.node), health.model_dump_json().encode(), retain=True)

    def _publish_output(self, device: str, state: OutputState) -> None:
        topic = self._topics.output_state(self.config.node, device)
        self._link.publish(topic, state.model_dump_json().encode(), qos=1, retain=True)
