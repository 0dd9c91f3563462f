"""The node's sensors: each with a sampler, its channels, and their pipelines."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from becomingone.devices.contract import Block, Sensor
from becomingone.node.config import InputSection, NodeConfig, device_of
from becomingone.node.describe import plan_channels
from becomingone.node.machine import Machine
from becomingone.node.pipeline import ChannelId, ChannelPipeline, DevicePipeline
from becomingone.node.sampler import Sampler, Status
from becomingone.scheduling import NANOSECONDS
from becomingone.wire.announce import ChannelAbout
from becomingone.wire.phase import PhaseFrame


class Inputs:
    """All sensors of a node.

    Parameters
    ----------
    config : NodeConfig
        Which there are.
    machine : Machine
        What they stand on.
    emit : callable
        Takes every frame, and the channel's description.
    changed : callable
        Called when a device, or its channels, are not what they were.

    Attributes
    ----------
    statuses : dict of str to Status
        Each device that has delivered or failed, by name.
    """

    def __init__(
        self,
        config: NodeConfig,
        machine: Machine,
        *,
        emit: Callable[[ChannelId, PhaseFrame], None],
        changed: Callable[[], None],
    ) -> None:
        self.statuses: dict[str, Status] = {}
        self._config = config
        self._machine = machine
        self._emit = emit
        self._changed = changed
        self._closed = False
        self._samplers: dict[str, Sampler] = {}
        self._abouts: dict[str, list[ChannelAbout]] = {}
        self._feeds: dict[str, DevicePipeline] = {}
        self._kept: frozenset[str] = frozenset()
        # Those of this life of the node: sequence numbers never repeat, whatever comes and goes.
        self._pipelines: dict[ChannelId, ChannelPipeline] = {}

    def start(self) -> None:
        """Open all of them."""
        for entry in self._config.inputs:
            self._add(entry)

    def close(self) -> None:
        """Stop sampling, and let all of them go."""
        self._closed = True
        for sampler in self._samplers.values():
            sampler.close()

    def apply(self, config: NodeConfig) -> None:
        """Become what another configuration says: devices whose section is the same go on undisturbed."""
        if self._closed:
            return
        before, self._config = self._config, config
        paced = (before.frames_per_s, before.hardware) == (config.frames_per_s, config.hardware)
        old = {entry.name: entry for entry in before.inputs}
        same = {entry.name for entry in config.inputs if paced and old.get(entry.name) == entry}
        for name in [name for name in self._samplers if name not in same]:
            self._remove(name)
        for entry in config.inputs:
            if entry.name not in same:
                self._add(entry)
        self._changed()

    @property
    def settled(self) -> bool:
        """Whether every device has either delivered or failed."""
        return len(self.statuses) == len(self._samplers)

    @property
    def channels(self) -> list[ChannelAbout]:
        """The channels of all devices that have been opened, in the configuration's order."""
        return [about for entry in self._config.inputs for about in self._abouts.get(entry.name, ())]

    def keeps(self, channel: str) -> bool:
        """Whether a channel's frames are kept until the hub has committed them."""
        return channel in self._kept

    def hung(self) -> str | None:
        """Say which sensor has worked in this life and hangs now, if any: a restart may cure it."""
        for sampler in self._samplers.values():
            if sampler.hung_ns > self._config.life.hung_s * NANOSECONDS:
                return f"{sampler.name} has not returned from a read for {sampler.hung_ns / NANOSECONDS:.0f} s"
        return None

    def _add(self, entry: InputSection) -> None:
        drop_in = self._config.drop_in

        def make() -> Sensor:
            module, options = device_of(entry, drop_in)
            sensor: Sensor = module.device(options, self._machine.ports)
            return sensor

        machine = self._machine
        sampler = self._samplers[entry.name] = Sampler(
            entry.name,
            make,
            clock=machine.clock,
            scheduler=machine.scheduler,
            runner=machine.make_runner(entry.name),
            rng=random.Random(machine.rng.random()),  # noqa: S311 - spreads retries
            frames_per_s=self._config.frames_per_s,
            latency_s=entry.latency_s,
            on_open=lambda device: self._opened(entry, device),
            on_blocks=lambda blocks: self._take(entry.name, blocks),
            on_status=lambda status: self._status_changed(entry.name, status),
        )
        sampler.start()

    def _remove(self, name: str) -> None:
        self._samplers.pop(name).close()
        self.statuses.pop(name, None)
        self._abouts.pop(name, None)
        self._feeds.pop(name, None)

    def _opened(self, entry: InputSection, device: Sensor) -> None:
        """Connect a device that has been opened, for the first time or again, to its pipelines."""
        taken = {about.name for name, abouts in self._abouts.items() if name != entry.name for about in abouts}
        planned = plan_channels(
            self._config,
            entry,
            device,
            boot=self._machine.boot,
            clock=self._machine.clock,
            taken=taken,
            pipelines=self._pipelines,
        )
        previous = self._abouts.get(entry.name)
        self._abouts[entry.name] = [about for about, _ in planned]
        self._feeds[entry.name] = DevicePipeline([pair for _, pairs in planned for pair in pairs])
        self._kept = frozenset(about.name for about in self.channels if about.keep)
        if previous != self._abouts[entry.name]:
            self._changed()

    def _take(self, device: str, blocks: Sequence[Block]) -> None:
        self._feeds[device].take(blocks, self._emit)

    def _status_changed(self, device: str, status: Status) -> None:
        self.statuses[device] = status
        self._changed()
