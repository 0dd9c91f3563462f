"""Frames by the batch: the same verdicts, the same table and the same counts as one after the other."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from becomingone.errors import FrameError
from becomingone.hub.config import IngestSection
from becomingone.hub.intake.ingest import Ingest
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.trust import Trust
from becomingone.hub.mesh.table import COLUMNS, ChannelTable
from becomingone.wire import cbor
from becomingone.wire.announce import About
from becomingone.wire.frame import Flags, encode_frame
from becomingone.wire.replay import Start
from becomingone.wire.seal import node_key, seal

from .parts import BANDS, NOW_NS, NOW_US, TOPICS, about, band_about, channel_about, frame

SECRET = bytes(range(32))
NODES = ("n", "m")
TOPIC = TOPICS.phase("n", "stride", "tone")


class Taker:
    """An ingest that takes messages one by one, or by the batch."""

    def __init__(self, *, sealed: bool, batch: bool) -> None:
        self.batch = batch
        self.roster, self.table = Roster(), ChannelTable()
        start = Start(NOW_US - 20_000_000, 1.0)
        trust = Trust(SECRET if sealed else None, root="becomingone", cell="home", start=start)
        self.ingest = Ingest(TOPICS, BANDS, self.roster, self.table, rules=IngestSection(), trust=trust)
        self.stored: list[int] = []
        self.ingest.stored = self.stored.extend
        for node in NODES:
            self.describe(about(node))

    def describe(self, node: About) -> None:
        self.roster.enrol(node.node, NOW_NS).about = node
        self.ingest.described(node.node)

    def take(self, messages: list[tuple[str, bytes]], *, now_us: int = NOW_US) -> list[tuple[str, str]]:
        """Take messages; give topic and reason of those that are refused."""
        if self.batch:
            refused = self.ingest.take_batch(messages, now_us=now_us, now_ns=NOW_NS + 1)
            return [(topic, error.reason) for topic, error in refused]
        single = [
            (topic, self.ingest.take(topic, payload, now_us=now_us, now_ns=NOW_NS + 1)) for topic, payload in messages
        ]
        return [(topic, error.reason) for topic, error in single if isinstance(error, FrameError)]

    @property
    def content(self) -> dict[str, Any]:
        """Everything that taking frames may change."""
        return {
            "keys": tuple(self.table.keys),
            "columns": {name: self.table[name].tobytes() for name in COLUMNS},
            "members": [(m.id, m.frames, m.missing, m.heard_ns, dict(m.refused)) for m in self.roster.members],
            "orders": {topic: (s.order.boot, s.order.seq) for topic, s in self.ingest._streams.items()},
            "frames": self.ingest.frames,
            "refused": dict(self.ingest.refused),
            "stored": tuple(self.stored),
        }


def sealed_by(node: str, topic: str, payload: bytes, boot: int = 1) -> bytes:
    return seal(node_key(SECRET, "becomingone", "home", node), topic, payload, boot)


def wave(n: int) -> Any:
    return np.exp(1j * np.arange(n)).astype(np.complex64)


@st.composite
def messages(draw: st.DrawFn, *, sealed: bool) -> list[tuple[str, bytes]]:
    """What may come: mostly ordinary frames of a few streams, among them everything else."""
    found: list[tuple[str, bytes]] = []
    seqs = dict.fromkeys(NODES, 0)
    for _ in range(draw(st.integers(1, 25))):
        node = draw(st.sampled_from(NODES))
        seqs[node] += draw(st.sampled_from((1, 1, 1, 1, 1, 3, 0, -1)))
        fields: dict[str, Any] = {"seq": max(0, seqs[node]), "coherence": draw(st.floats(0, 1))}
        kind = draw(st.sampled_from(("one",) * 6 + ("block", "block", "resonance", "odd", "bytes", "damaged")))
        if kind == "block":
            fields |= {"phasors": wave(draw(st.integers(2, 40))), "spacing_us": 1000.0}
        if kind == "resonance":
            fields["resonance"] = 0.5 - 0.25j
        if kind == "odd":
            ages = st.sampled_from((-1_000_001, -1_000_000, -999_500, 5_128_000, 5_128_205, 5_129_000, 18_999_999, 3e7))
            fields |= draw(
                st.sampled_from(
                    (
                        {"time_us": NOW_US - round(draw(ages))},
                        {"boot": 2},
                        {"boot": 0},
                        {"flags": Flags.VALID | Flags.HISTORICAL},
                        {"flags": Flags.NONE},
                        {"flags": Flags(127) ^ Flags.HISTORICAL},
                        {"seq": 2**64 - 1},
                    )
                )
            )
        payload = encode_frame(frame(**fields))
        if kind == "bytes":
            payload = draw(st.binary(max_size=40) | st.just(cbor.encode({1: 1})) | st.just(b"\xa1" * 2**20))
        if draw(st.integers(0, 9)) == 0:  # as others encode: an unknown key
            payload = b"\xad" + payload[1:] + b"\x18\x40\x00" if payload[:1] == b"\xac" else payload
        levels = draw(st.sampled_from(("stride/tone",) * 8 + ("motion/tone", "stride/other", "nowhere", "stride/t/x")))
        topic = f"{TOPICS.base}/node/{node}/phase/{levels}"
        if sealed and draw(st.integers(0, 9)):
            key_of, boot = draw(st.sampled_from(((node, 1),) * 12 + (("n", 1), ("m", 2), (node, 2))))
            with contextlib.suppress(FrameError):  # what is no map cannot be sealed
                payload = sealed_by(key_of, topic, payload, boot)
        if kind == "damaged":
            at = draw(st.integers(0, len(payload) - 1))
            payload = payload[:at] + bytes((draw(st.integers(0, 255)),)) + payload[at + 1 :]
            payload = payload[: draw(st.integers(0, len(payload)))] if draw(st.booleans()) else payload
        found.append((topic, payload))
    return found


@pytest.mark.parametrize("sealed", [False, True])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
@example(data=None)
def test_a_batch_is_taken_as_its_messages_are_one_by_one(sealed: bool, data: Any) -> None:
    if data is None:  # an ordinary stream, and one of blocks
        batches = [[(TOPIC, encode_frame(frame(seq=n))) for n in range(300)]]
        batches.append([(TOPIC, encode_frame(frame(seq=n + 300, phasors=wave(9), spacing_us=7.0))) for n in range(9)])
        if sealed:
            batches = [[(topic, sealed_by("n", topic, payload)) for topic, payload in batch] for batch in batches]
    else:
        batches = data.draw(st.lists(messages(sealed=sealed), min_size=1, max_size=3))
    ours, single = Taker(sealed=sealed, batch=True), Taker(sealed=sealed, batch=False)
    for batch in batches:
        assert ours.take(batch) == single.take(batch)
        assert ours.content == single.content


def test_a_batch_s_ordinary_frames_go_the_quick_way() -> None:
    """What is proved above would be proved of nothing otherwise."""
    taker = Taker(sealed=True, batch=True)
    slow: list[bytes] = []
    take = Ingest.take
    batch = [(TOPIC, sealed_by("n", TOPIC, encode_frame(frame(seq=n)))) for n in range(20)]
    block = encode_frame(frame(seq=20, phasors=wave(100), spacing_us=1.0))
    batch.append((TOPIC, sealed_by("n", TOPIC, block)))
    with pytest.MonkeyPatch.context() as patch:

        def note(self: Ingest, topic: str, payload: bytes, **now: Any) -> FrameError | None:
            slow.append(payload)
            return take(self, topic, payload, **now)

        patch.setattr(Ingest, "take", note)
        assert taker.take(batch) == []
    assert slow == [payload for _, payload in batch[:2]]  # the first of the stream, and the one after a life was proved
    assert taker.ingest.frames == 21


def test_what_changes_between_batches_changes_the_verdict() -> None:
    first = [(TOPIC, encode_frame(frame(seq=n))) for n in range(3)]
    later = [(TOPIC, encode_frame(frame(seq=n))) for n in range(3, 6)]
    undescribed, moved, older = (Taker(sealed=False, batch=True) for _ in range(3))
    for taker in (undescribed, moved, older):
        assert taker.take(first) == []
    undescribed.describe(about(channels=()))
    assert undescribed.take(later) == [(TOPIC, "unknown_channel")] * 3
    moved.describe(about(bands={"stride": band_about(BANDS[1])}))
    assert moved.take(later) == [(TOPIC, "unknown_channel")] * 3
    assert older.take(later, now_us=NOW_US + 10_000_000) == [(TOPIC, "late")] * 3
    assert older.take(later) == []
    described = Taker(sealed=False, batch=True)
    assert described.take(first) == []
    described.describe(about(channels=(channel_about(interval_s=10.0),)))  # three intervals: later is early enough
    assert described.take(later, now_us=NOW_US + 10_000_000) == []


def test_a_node_s_new_life_ends_the_old_one_s_frames() -> None:
    """Another message has proved it, say a ping, before its description or a frame of it has come."""
    taker = Taker(sealed=True, batch=True)
    old = [(TOPIC, sealed_by("n", TOPIC, encode_frame(frame(seq=n)))) for n in range(4)]
    assert taker.take(old[:2]) == []
    ping = TOPICS.clock_ping("n")
    taker.ingest.trust.open("n", ping, sealed_by("n", ping, cbor.encode({1: 2}), 2))
    assert taker.take(old[2:]) == [(TOPIC, "wrong_epoch")] * 2


def test_a_kept_channel_s_frames_never_go_the_quick_way() -> None:
    taker = Taker(sealed=False, batch=True)
    taker.describe(about(channels=(channel_about(keep=True),)))
    kept: list[int] = []

    class Kept:
        def take(self, _stream: Any, given: Any, _payload: bytes) -> None:
            kept.append(given.seq)

    taker.ingest.kept = Kept()  # type: ignore[assignment]
    assert taker.take([(TOPIC, encode_frame(frame(seq=n))) for n in range(5)]) == []
    assert kept == [0, 1, 2, 3, 4]


def test_the_last_of_a_row_in_a_batch_stays() -> None:
    taker = Taker(sealed=False, batch=True)
    rng = random.Random(3)
    phases = [rng.uniform(-3, 3) for _ in range(50)]
    taker.take([(TOPIC, encode_frame(frame(phase, seq=n))) for n, phase in enumerate(phases)])
    assert float(np.angle(taker.table["phasor"][0])) == pytest.approx(phases[-1])
    assert taker.stored == [0] * 50
