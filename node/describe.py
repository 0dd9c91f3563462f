"""What a node says it is: its channels with their bands, its devices, its outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, cast

from pydantic import ValidationError

from becomingone import __version__
from becomingone.devices.contract import Channel, Sensor
from becomingone.errors import DeviceError, KernelError, TopicError
from becomingone.kairos.bands import HARDWARE_CLASSES, Band, bands_for
from becomingone.node.config import InputSection, NodeConfig
from becomingone.node.config_file import Loaded
from becomingone.node.pipeline import ChannelId, ChannelPipeline, Stream
from becomingone.node.sampler import Status
from becomingone.scheduling import MeshClock
from becomingone.wire.announce import About, BandAbout, ChannelAbout, DeviceAbout, OutputAbout
from becomingone.wire.frame import PROTOCOL
from becomingone.wire.topics import check_name


def _bands(config: NodeConfig, entry: InputSection, channel: Channel) -> list[Band]:
    plan = [band for band in config.band_plan() if entry.bands is None or band.name in entry.bands]
    return bands_for(plan, sample_rate_hz=channel.rate_hz, tau_range=HARDWARE_CLASSES[config.hardware])


def plan_channels(
    config: NodeConfig,
    entry: InputSection,
    device: Sensor,
    *,
    boot: int,
    clock: MeshClock,
    taken: Collection[str],
    pipelines: dict[ChannelId, ChannelPipeline],
) -> list[tuple[ChannelAbout, list[tuple[str, ChannelPipeline]]]]:
    """Decide a device's channels: their names on the wire, their bands and their pipelines.

    Parameters
    ----------
    taken : collection of str
        Names that other devices of this node have.
    pipelines : dict of ChannelId to ChannelPipeline
        Those of this life of the node. A device that comes back as it was goes on with its own, and the kernel sees the
        time between as a gap; one that has changed gets new ones. Sequence numbers never repeat.

    Returns
    -------
    list of (ChannelAbout, list of (str, ChannelPipeline))
        Each channel, with its pipelines by the device's own name for the channel.

    Raises
    ------
    DeviceError
        When two channels would have the same name, or one has a name, rate or floor that cannot be.
    """
    planned: list[tuple[ChannelAbout, list[tuple[str, ChannelPipeline]]]] = []
    names: set[str] = set()
    for channel in device.channels:
        name = entry.prefix + channel.name
        if name in names:
            msg = f"{entry.kind} has two channels {channel.name}"
            raise DeviceError(msg)
        if name in taken:
            msg = f"channel {name} of {entry.name} has the name of another device's: give one of them a prefix"
            raise DeviceError(msg)
        names.add(name)
        try:
            planned.append(_plan(config, entry, device, channel, name, boot=boot, clock=clock, pipelines=pipelines))
        except (TopicError, KernelError) as error:
            raise DeviceError(f"channel {name}: {error}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise DeviceError(f"channel {name}: {field}: {first['msg']}") from error
    return planned


def _plan(
    config: NodeConfig,
    entry: InputSection,
    device: Sensor,
    channel: Channel,
    name: str,
    *,
    boot: int,
    clock: MeshClock,
    pipelines: dict[ChannelId, ChannelPipeline],
) -> tuple[ChannelAbout, list[tuple[str, ChannelPipeline]]]:
    check_name(name, "channel")
    bands = _bands(config, entry, channel)
    frame_s = max(1.0 / config.frames_per_s, 1.0 / channel.rate_hz)
    about = ChannelAbout(
        name=name,
        device=entry.name,
        kind=entry.kind,
        unit=channel.unit,
        quantity=channel.quantity,
        rate_hz=channel.rate_hz,
        floor=channel.floor,
        origin=device.origin,
        speed=channel.speed,
        bands=tuple(band.name for band in bands),
        interval_s=frame_s,
        keep=entry.keep,
    )
    fed: list[tuple[str, ChannelPipeline]] = []
    for band in bands:
        identity = ChannelId(band.name, name)
        of = Stream(band, channel, device.origin, frame_s)
        known = pipelines.get(identity)
        if known is None or known.of != of:
            pipelines[identity] = ChannelPipeline(
                identity,
                of,
                boot=boot,
                clock=clock,
                p_false=config.kairos.p_false,
                first_seq=0 if known is None else known.next_seq,
            )
        fed.append((channel.name, pipelines[identity]))
    return about, fed


def describe(
    *,
    channels: Sequence[ChannelAbout],
    statuses: Mapping[str, Status],
    outputs: Mapping[str, str],
    loaded: Loaded,
    desired_sha256: str,
    boot: int,
    pid: int,
    host: str,
) -> About:
    """Put ``about`` together.

    Parameters
    ----------
    channels : sequence of ChannelAbout
        Those of all devices that have been opened.
    statuses : mapping of str to Status
        Each device that has delivered or failed, outputs too.
    outputs : mapping of str to str
        The role of each output that has been opened.
    loaded : Loaded
        The configuration, and what became of it.
    desired_sha256 : str
        Digest of the configuration that the node should have; empty where nobody has said.

    The reporting interval is that of the most frequent stream that works; a node without one still sends health.
    """
    config = loaded.config
    working = [
        channel.interval_s
        for channel in channels
        if channel.bands and channel.device in statuses and statuses[channel.device].available
    ]
    return About(
        protocol=PROTOCOL,
        node=config.node,
        hardware=config.hardware,
        tau_s=HARDWARE_CLASSES[config.hardware],
        capability=config.capability,
        interval_s=min([*working, config.health_s]),
        bands={
            band.name: BandAbout(
                frequency_hz=band.frequency_hz,
                tau_s=band.tau_s,
                lag_s=band.lag_s,
                coherence_tau_s=band.coherence_tau_s,
            )
            for band in config.band_plan()
            if any(band.name in channel.bands for channel in channels)
        },
        channels=tuple(channels),
        devices=tuple(
            DeviceAbout(
                name=entry.name,
                kind=entry.kind,
                available=entry.name in statuses and statuses[entry.name].available,
                reason=statuses[entry.name].reason if entry.name in statuses else "not opened yet",
            )
            for entry in (*config.inputs, *config.outputs)
        ),
        outputs=tuple(
            OutputAbout(
                name=entry.name,
                kind=entry.kind,
                role=cast("Literal['display', 'speaker', 'motor']", outputs[entry.name]),
            )
            for entry in config.outputs
            if entry.name in outputs
        ),
        software=f"becomingone {__version__}",
        config_sha256=loaded.sha256,
        boot=boot,
        pid=pid,
        host=host,
        mode=loaded.mode,
        mode_why=loaded.why,
        desired_sha256=desired_sha256,
    )
