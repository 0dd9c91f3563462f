"""The spool against the store in memory, whatever is done to both, over kills and restarts."""

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from becomingone.broker.kept_store import Kept, MemoryStore
from becomingone.node.spool import log
from becomingone.node.spool.spool import Spool
from becomingone.runner import InlineRunner
from becomingone.sim.clock import VirtualScheduler

from .sim_disk import SimDisk

STREAMS = ["stride/leg_x", "stride/leg_y", "fast/leg_x"]
names = st.sampled_from(STREAMS)


class SpoolAndModel(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.scheduler = VirtualScheduler()
        self.disk = SimDisk()
        self.model = MemoryStore(1 << 30)
        self.boot = 0
        self.following = {}
        self.lost = 0
        self.open()

    def open(self):
        self.boot += 1
        self.following = dict.fromkeys(STREAMS, 0)
        self.spool = Spool(
            Path("spool"),
            max_bytes=6 * 4096,
            sync_frames=5,
            sync_s=1.0,
            scheduler=self.scheduler,
            runner=InlineRunner(self.scheduler),
            make_disk=lambda: self.disk,
        )

    def append(self, stream, size):
        seq = self.following[stream]
        self.following[stream] = seq + 1
        entry = Kept((stream, self.boot), seq, f"t/{stream}", bytes([seq % 251]) * size, self.scheduler.monotonic_ns())
        self.model.append(entry)
        self.say_gone(self.spool.append(entry))

    def say_gone(self, gone):
        for some in gone:
            before = len(self.model)
            self.model.forget(some.stream, some.seq)
            assert before - len(self.model) == some.count > 0
            self.lost += some.count

    @rule(stream=names, size=st.integers(0, 600), count=st.integers(1, 12))
    def append_some(self, stream, size, count):
        for _ in range(count):
            self.append(stream, size)

    @rule(stream=names, size=st.integers(3_000, 30_000))
    def append_much(self, stream, size):
        self.append(stream, size)

    @rule(stream=names, skip=st.integers(1, 9))
    def skip(self, stream, skip):
        self.following[stream] += skip

    @rule(stream=names, back=st.integers(0, 3), seq=st.integers(0, 60))
    def forget(self, stream, back, seq):
        name = stream, max(1, self.boot - back)
        self.spool.forget(name, seq)
        self.model.forget(name, seq)

    @rule(seconds=st.floats(0.01, 3.0))
    def wait(self, seconds):
        self.scheduler.run_for(seconds)

    @rule()
    def restart(self):
        self.spool.close()
        assert self.disk.closed
        self.disk = self.disk.after_power_cut("none")  # whatever was accepted was synced by the goodbye
        self.open()
        self.forget_again()
        self.forget_times()

    @rule()
    def kill(self):
        self.disk = self.disk.after_kill()
        self.open()
        self.forget_again()
        self.forget_times()

    def forget_again(self):
        """What was done with is not always written down at once: it comes again, and is done with again."""
        for name in self.spool.streams():
            first = self.model.next(name, -1)
            boot_end = first.seq - 1 if first is not None else 1 << 60
            self.spool.forget(name, boot_end)

    def forget_times(self):
        """An earlier life's clock means nothing to this one."""
        fresh = MemoryStore(1 << 30)
        while (entry := self.model.oldest()) is not None:
            fresh.append(Kept(entry.stream, entry.seq, entry.topic, entry.payload))
            self.model.forget(entry.stream, entry.seq)
        self.model = fresh

    @invariant()
    def same(self):
        assert len(self.spool) == len(self.model)
        assert sorted(self.spool.streams()) == sorted(self.model.streams())
        for name in self.model.streams():
            seq = -1
            for _ in range(4):
                entry = self.model.next(name, seq)
                assert self.spool.next(name, seq) == entry
                if entry is None:
                    break
                seq = entry.seq
        assert self.spool.next(("nothing", 1), -1) is None
        assert self.spool.damaged == 0
        assert self.spool.fault == ""
        assert self.spool.lost == 0 or self.lost > 0


def test_the_spool_holds_what_the_store_in_memory_holds(mocker):
    mocker.patch.object(log, "SEGMENT_BYTES", (4096, 1 << 20))
    # A busy machine is no reason to fail.
    limits = settings(max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(SpoolAndModel, settings=limits)
