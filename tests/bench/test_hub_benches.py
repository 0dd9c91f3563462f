"""The benchmarks of the hub run, with a real Mosquitto and a real hub; never how fast."""

from __future__ import annotations

import math
import random

import pytest

from becomingone.bench import block, broker_hosts, ingest, latency, registry
from becomingone.bench.mesh_traffic import Cell
from becomingone.bench.raw_mqtt import RawClient, publish_packet
from becomingone.broker.incoming import read_publish
from becomingone.errors import ConfigError, LinkError
from becomingone.wire.frame import decode_frame


def test_packets_are_those_of_mqtt() -> None:
    for size in (0, 100, 127, 128, 16_383, 20_000):
        packet = publish_packet("a/b", bytes(size), retain=size == 0)
        read = read_publish(packet, 0, five=False)
        assert read is not None
        assert (read.end, read.topic, len(read.payload), read.retained) == (len(packet), "a/b", size, size == 0)


def test_the_frames_are_those_of_a_mesh_in_the_order_of_time() -> None:
    cell = Cell(3, 2)
    rng = random.Random(1)
    packets = cell.frames(4, rng=rng) + cell.frames(2, samples=10, rng=rng)
    read = [read_publish(packet, 0, five=False) for packet in packets]
    frames = [(message.topic, decode_frame(message.payload)) for message in read if message is not None]
    assert len(frames) == 36
    by_topic = {topic: [frame.seq for name, frame in frames if name == topic] for topic, _ in frames}
    assert list(by_topic.values()) == [[0, 1, 2, 3, 4, 5]] * 6
    assert {len(frame.phasors) for _, frame in frames} == {1, 10}
    assert all(frame.resonance is not None for _, frame in frames)


def test_without_mosquitto_they_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_hosts, "find", lambda _program: None)
    for bench in (ingest, block, latency):
        with pytest.raises(LinkError, match="apt install mosquitto"):
            bench.run(bench.QUICK)  # type: ignore[arg-type]


def test_what_cannot_be_quick_says_so() -> None:
    with pytest.raises(ConfigError, match="as a whole or not at all"):
        registry.run("codec", quick=True)
    with pytest.raises(ConfigError, match="there is no benchmark 'nothing'"):
        registry.run("nothing", quick=True)


@pytest.mark.slow
@pytest.mark.mosquitto
@pytest.mark.parametrize("name", ["ingest", "block", "latency", "scale"])
def test_it_runs_and_counts_every_frame(name: str) -> None:
    """Each of them ends with an error when the hub has not taken everything."""
    report = registry.run(name, quick=True)
    assert report.bench == name
    for row in report.rows:
        assert math.isfinite(row.ours)
        assert row.ours >= 0.0
        assert row.target.startswith(("≥", "≤", "<"))
    if name == "scale":
        carried, exact = report.rows
        assert carried.more["taken"] == carried.more["aggregates sent"] == 40
        assert exact.ok
    if name == "latency":
        more = report.rows[0].more  # on a busy machine a newer command may take an older one's place
        assert more["frames"] + more["superseded"] + more["lost"] == 20
        assert more["frames"] >= 2


@pytest.mark.mosquitto
def test_a_raw_client_hears_what_another_says() -> None:
    mosquitto = broker_hosts.find("mosquitto")
    if mosquitto is None:
        pytest.skip("no Mosquitto here")
    with broker_hosts.mosquitto(mosquitto) as port:
        speaker = RawClient(port, "speaker")
        speaker.send(publish_packet("a/kept", b"1", retain=True))
        listener = RawClient(port, "listener", ["a/#"])
        speaker.send(b"".join(publish_packet(f"a/{n}", bytes(1000)) for n in range(500)))
        heard = [listener.next(10.0) for _ in range(501)]
        assert [message.topic for message in heard if message is not None] == [
            "a/kept",
            *(f"a/{n}" for n in range(500)),
        ]
        assert listener.next(0.05) is None
        listener.close()
        speaker.close()
