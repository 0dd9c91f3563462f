"""What a node says it is: names, bands, reporting interval; and pipelines that outlive a device's failures."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from becomingone.devices.contract import Channel
from becomingone.errors import DeviceError
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import Loaded
from becomingone.node.describe import describe, plan_channels
from becomingone.node.pipeline import ChannelId, ChannelPipeline
from becomingone.node.sampler import Status
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.announce import About, ChannelAbout, parse_announcement

from .fakes import FakeSensor, block, channel


def config_of(*inputs: dict[str, Any], **more: Any) -> NodeConfig:
    return NodeConfig.model_validate(
        {"node": "n", "inputs": [{"name": f"d{n}", "kind": "synthetic", **i} for n, i in enumerate(inputs)], **more}
    )


class Planner:
    """Plans the channels of a node's devices as the agent does."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.pipelines: dict[ChannelId, ChannelPipeline] = {}
        self.fed: list[tuple[str, ChannelPipeline]] = []

    def plan(self, *channels: Channel, number: int = 0, taken: Collection[str] = ()) -> list[ChannelAbout]:
        planned = plan_channels(
            self.config,
            self.config.inputs[number],
            FakeSensor(*channels),
            boot=1,
            clock=MeshClock(VirtualScheduler()),
            taken=taken,
            pipelines=self.pipelines,
        )
        self.fed = [pair for _, pairs in planned for pair in pairs]
        return [about for about, _ in planned]


def bands_of(hardware: str, rate_hz: float, only: list[str] | None = None) -> tuple[str, ...]:
    planner = Planner(config_of({"bands": only}, hardware=hardware))
    (about,) = planner.plan(channel("a", rate_hz))
    assert list(planner.pipelines) == [ChannelId(band, "a") for band in about.bands]
    return about.bands


# Names


def test_a_channel_has_its_device_s_name_after_the_prefix() -> None:
    planner = Planner(config_of({"prefix": "left_"}))
    abouts = planner.plan(Channel("gyr", "rad/s", 50.0, "angular_rate", 0.05), channel("b"))
    assert [about.name for about in abouts] == ["left_gyr", "left_b"]
    assert {(name, pipeline.identity.channel) for name, pipeline in planner.fed} == {
        ("gyr", "left_gyr"),
        ("b", "left_b"),
    }
    gyr = abouts[0]
    assert (gyr.device, gyr.kind, gyr.unit, gyr.quantity, gyr.rate_hz, gyr.floor, gyr.origin) == (
        "d0",
        "synthetic",
        "rad/s",
        "angular_rate",
        50.0,
        0.05,
        "live",
    )


def test_a_name_that_another_device_has_is_refused() -> None:
    planner = Planner(config_of({}, {"prefix": "x_"}))
    with pytest.raises(
        DeviceError, match="channel a of d0 has the name of another device's: give one of them a prefix"
    ):
        planner.plan(channel("a"), taken={"a"})
    assert [about.name for about in planner.plan(channel("a"), number=1, taken={"a"})] == ["x_a"]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ((channel("a"), channel("a")), "two channels"),
        ((channel("Température"),), "channel 'Température' must be"),
        ((channel("a" * 64),), "must be 1 to 63"),
        ((channel("a", rate_hz=0.0),), "sample_rate_hz"),
        ((channel("a", rate_hz=float("nan")),), "sample_rate_hz"),
        ((channel("a", floor=-1.0),), "floor"),
        ((channel("a", floor=float("inf")),), "floor"),
        ((channel("a", rate_hz=1e300),), "rate_hz"),
    ],
)
def test_a_channel_that_cannot_be_described_refuses_its_device(bad: tuple[Channel, ...], says: str) -> None:
    with pytest.raises(DeviceError, match=says) as caught:
        Planner(config_of({})).plan(*bad)
    assert "\n" not in str(caught.value)


# Bands


def test_a_band_needs_four_samples_a_period() -> None:
    assert bands_of("cloud", 40.0) == ("fast", "motion", "stride", "breath")
    assert bands_of("cloud", 39.9) == ("motion", "stride", "breath")
    assert bands_of("cloud", 0.5) == ()


def test_the_hardware_class_decides_the_range_of_tau() -> None:
    assert bands_of("pi_zero", 100.0) == ("fast", "motion", "stride")
    assert bands_of("pi_4", 100.0) == ("stride", "breath", "minute", "replayed_day")
    assert bands_of("pi_2", 100.0) == ("minute", "replayed_day")


def test_a_device_may_be_restricted_to_some_bands() -> None:
    assert bands_of("mac_mini", 100.0, ["breath", "fast"]) == ("fast", "breath")  # in the plan's order
    assert bands_of("pi_zero", 100.0, ["minute"]) == ()  # restricted, never widened
    assert bands_of("mac_mini", 100.0, []) == ()


# Intervals


def test_a_channel_s_frames_come_at_the_frame_pace_or_at_its_rate() -> None:
    planner = Planner(config_of({}, frames_per_s=5))
    assert [about.interval_s for about in planner.plan(channel("a", 1000.0), channel("b", 0.5))] == [0.2, 2.0]


def about_of(planner: Planner, channels: list[ChannelAbout], **statuses: Status) -> About:
    loaded = Loaded(planner.config, "0" * 64, "last_good", "node.yaml:1: no")
    about = describe(
        channels=channels,
        statuses=statuses,
        outputs={},
        loaded=loaded,
        desired_sha256="1" * 64,
        boot=3,
        pid=4,
        host="attic",
    )
    return parse_announcement(About, about.model_dump_json().encode())


def test_the_interval_is_that_of_the_most_frequent_stream_that_works() -> None:
    planner = Planner(config_of({"prefix": "fast_"}, {"prefix": "slow_"}, health_s=20, hardware="mac_mini"))
    channels = planner.plan(channel("a", 100.0)) + planner.plan(channel("a", 2.0), number=1)
    fine, broken = Status(available=True), Status(available=False, reason="no wire")
    assert about_of(planner, channels, d0=fine, d1=fine).interval_s == 0.1
    assert about_of(planner, channels, d0=broken, d1=fine).interval_s == 0.5
    assert about_of(planner, channels, d0=broken, d1=broken).interval_s == 20.0
    assert about_of(planner, channels).interval_s == 20.0
    assert about_of(planner, []).interval_s == 20.0


def test_a_stream_in_no_band_sends_nothing_and_sets_no_interval() -> None:
    planner = Planner(config_of({"bands": []}))
    channels = planner.plan(channel("a", 100.0))
    about = about_of(planner, channels, d0=Status(available=True))
    assert about.interval_s == 30.0
    assert about.bands == {}
    assert about.channels[0].bands == ()


def test_about_tells_of_devices_bands_and_itself() -> None:
    planner = Planner(config_of({}, {"prefix": "x_"}, capability=2.5, hardware="pi_4"))
    channels = planner.plan(channel("a", 4.0))
    about = about_of(planner, channels, d0=Status(available=True))
    assert [(d.name, d.available, d.reason) for d in about.devices] == [
        ("d0", True, ""),
        ("d1", False, "not opened yet"),
    ]
    assert list(about.bands) == ["stride", "breath", "minute", "replayed_day"]
    assert about.bands["stride"].frequency_hz == 0.78
    assert (about.node, about.hardware, about.tau_s, about.capability) == ("n", "pi_4", (1.0, 60.0), 2.5)
    assert (about.mode, about.mode_why, about.desired_sha256) == ("last_good", "node.yaml:1: no", "1" * 64)
    assert (about.config_sha256, about.boot, about.pid, about.host, about.protocol) == ("0" * 64, 3, 4, "attic", 1)


# A device that comes back


def test_a_device_that_comes_back_goes_on_with_its_numbers() -> None:
    planner = Planner(config_of({}))
    seqs: list[int] = []

    def feed(start_s: float) -> None:
        for _, pipeline in planner.fed:
            if pipeline.identity.band == "stride":
                pipeline.take(
                    block(round(start_s * 1e9), [1.0, 2.0], name="a", spacing_s=0.01),
                    lambda _identity, frame: seqs.append(frame.seq),
                )

    planner.plan(channel("a", 100.0))
    feed(0.0)
    feed(0.02)
    planner.plan(channel("a", 100.0))
    feed(30.0)
    assert seqs == [0, 1, 2]


def test_a_device_that_comes_back_another_begins_anew_but_for_its_numbers() -> None:
    planner = Planner(config_of({}))
    planner.plan(channel("a", 100.0))
    before = dict(planner.pipelines)
    for _, pipeline in planner.fed:
        pipeline.take(block(0, [1.0, 2.0], name="a", spacing_s=0.01), lambda _identity, _frame: None)
    planner.plan(channel("a", 50.0))
    assert list(planner.pipelines) == list(before)
    for identity, pipeline in planner.pipelines.items():
        assert pipeline is not before[identity]
        assert pipeline.next_seq == 1


def test_what_is_kept_is_said() -> None:
    planner = Planner(config_of({"keep": True}, {"prefix": "x_"}))
    assert [about.keep for about in planner.plan(channel("a")) + planner.plan(channel("a"), number=1)] == [True, False]
