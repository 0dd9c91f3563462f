"""When a node counts as started, and what its status says, in virtual time."""

from becomingone.node.readiness import WITHIN_S, Readiness
from becomingone.node.sampler import Status
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.fake_host import FakeHost

GOOD = Status(available=True)
BAD = Status(available=False, reason="no sound card")


def make(note: str = "") -> tuple[Readiness, FakeHost, VirtualScheduler]:
    scheduler, host = VirtualScheduler(), FakeHost()
    made = Readiness(host, scheduler, note=note)
    made.start()
    return made, host, scheduler


def test_ready_is_connected_and_every_device_at_work() -> None:
    readiness, host, scheduler = make()
    readiness.devices(["a", "b"], {})
    readiness.up()
    readiness.devices(["a", "b"], {"a": GOOD})
    assert host.calls == []
    readiness.devices(["a", "b"], {"a": GOOD, "b": GOOD})
    assert host.calls == [("ready", "connected; 2 of 2 devices at work")]
    scheduler.run_for(2 * WITHIN_S)
    assert len(host.calls) == 1


def test_a_broker_that_is_away_is_waited_for_and_then_named() -> None:
    readiness, host, scheduler = make()
    readiness.devices([], {})
    readiness.down("127.0.0.1:1: Connection refused")
    scheduler.run_for(WITHIN_S - 0.1)
    assert host.calls == []
    scheduler.run_for(0.2)
    away = "degraded: the broker is out of reach (127.0.0.1:1: Connection refused); 0 of 0 devices at work"
    assert host.calls == [("ready", away)]
    for _ in range(10):
        readiness.down("127.0.0.1:1: Connection refused")
    readiness.up()
    readiness.up()
    assert host.calls[1:] == [("status", "connected; 0 of 0 devices at work")]


def test_devices_that_are_missing_are_named_some_of_them() -> None:
    readiness, host, scheduler = make()
    names = [f"d{number}" for number in range(6)]
    readiness.up()
    readiness.devices(names, {"d0": GOOD, "d1": BAD})
    scheduler.run_for(WITHIN_S)
    said = "connected; 1 of 6 devices at work; d1: no sound card; d2: not opened yet; d3: not opened yet; and 2 more"
    assert host.calls == [("ready", said)]


def test_safe_mode_is_said_first() -> None:
    readiness, host, _ = make("safe mode")
    readiness.devices([], {})
    readiness.up()
    assert host.calls == [("ready", "safe mode; connected; 0 of 0 devices at work")]


def test_a_node_that_ends_says_no_more() -> None:
    readiness, host, scheduler = make()
    readiness.close()
    readiness.up()
    scheduler.run_for(2 * WITHIN_S)
    assert host.calls == []
