"""The simulated network: order, delay, loss, standing still, half-open connections, partitions, broken cables."""

import statistics

import pytest

from becomingone.broker.reasons import Reason
from becomingone.sim.plan import Network as Rules

from .wires import World, world


def test_packets_take_their_time_and_never_overtake():
    it = world(up={"delay_ms": {"kind": "uniform", "low": 1, "high": 50}})
    begun = it.now
    for number in range(200):
        it.up(number)
        it.scheduler.run_for(0.002)
    it.scheduler.run_for(1.0)
    assert it.server.numbers == list(range(200))
    late = [at - begun - 0.002 * number for number, (at, _) in enumerate(it.server.came)]
    assert min(late) >= 0.001
    assert max(late) <= 0.050001
    assert statistics.fmean(late) > 0.0255  # a packet waits for the one before


def test_the_two_directions_are_their_own():
    it = world(up={"delay_ms": 5}, down={"delay_ms": 70})
    begun = it.now
    it.up(1)
    it.down(2)
    it.scheduler.run_for(1.0)
    assert [at - begun for at, _ in it.server.came] == [pytest.approx(0.005)]
    assert [at - begun for at, _ in it.client.came] == [pytest.approx(0.070)]


def test_what_is_lost_comes_late_and_nothing_is_missing():
    it = world(up={"delay_ms": 1, "loss": 0.2})
    begun = it.now
    for number in range(300):
        it.up(number)
        it.scheduler.run_for(1.0)
    it.scheduler.run_for(60.0)
    assert it.server.numbers == list(range(300))
    late = [round(at - begun - number, 3) for number, (at, _) in enumerate(it.server.came)]
    assert late.count(0.001) == pytest.approx(240, abs=30)
    assert set(late) >= {0.001, 0.201, 0.601}  # a retransmission after 0.2 s, another after 0.4 s


def test_a_busy_connection_mends_a_loss_sooner():
    it = world(up={"delay_ms": 1, "loss": 0.05})
    begun = it.now
    for number in range(2000):
        it.up(number)
        it.scheduler.run_for(0.002)
    it.scheduler.run_for(5.0)
    late = sorted(at - begun - 0.002 * number for number, (at, _) in enumerate(it.server.came))
    assert len(late) == 2000
    # Three more packets take 6 ms. With the 0.2 s of a quiet connection, and a loss every 40 ms, all would be late.
    assert late[1000] < 0.02
    assert late[1200] < 0.1


def test_a_large_packet_is_lost_more_often():
    def late(size):
        it = world(up={"delay_ms": 1, "loss": 0.02})
        for number in range(300):
            it.up(number, size)
            it.scheduler.run_for(2.0)
        return sum(at % 1.0 > 0.1 for at, _ in it.server.came)

    assert late(50_000) > 5 * late(0)


def test_a_partition_holds_everything_up_and_lets_it_go_in_order():
    it = world()
    path = it.network.path("c")
    path.blocks += 1
    for number in range(10):
        it.up(number)
        it.down(number)
        it.scheduler.run_for(0.3)
    assert (it.server.came, it.client.came) == ([], [])
    healed = it.now
    path.blocks -= 1
    it.scheduler.run_for(10.0)
    assert it.server.numbers == it.client.numbers == list(range(10))
    assert 0 < it.server.came[0][0] - healed < 3.3  # the next retransmission, which comes ever more seldom


def test_two_partitions_at_once_end_with_the_later():
    it = world()
    path = it.network.path("c")
    path.blocks += 2
    it.up(1)
    path.blocks -= 1
    it.scheduler.run_for(5.0)
    assert it.server.came == []
    path.blocks -= 1
    it.scheduler.run_for(10.0)
    assert it.server.numbers == [1]


def test_a_connection_that_stands_still_breaks_for_whoever_has_something_to_say():
    it = world(network={"stall_s": 7})
    it.network.path("c").blocks += 1
    begun = it.now
    it.up(1)
    it.scheduler.run_for(60.0)
    ((at, reason),) = it.client.broke
    assert reason is Reason.TIMEOUT
    assert 7 <= at - begun <= 7 + 6.4 + 0.1  # noticed at a retransmission
    assert it.server.broke == []  # it had nothing to say, and nobody could tell it
    it.network.path("c").blocks -= 1
    it.up(2)
    it.scheduler.run_for(60.0)
    assert it.server.came == []  # what had been given up does not come


def test_nothing_gets_through_a_half_open_connection_and_nobody_is_told():
    it = world(network={"stall_s": 20})
    it.connection.lost = True
    it.down(1)
    it.scheduler.run_for(19.0)
    assert (it.client.came, it.client.broke, it.server.broke) == ([], [], [])
    it.scheduler.run_for(60.0)
    assert [reason for _, reason in it.server.broke] == [Reason.TIMEOUT]
    assert it.client.broke == []
    other = it.connection
    it.dial()
    assert it.connection is not other  # the next one is sound
    it.up(5)
    it.scheduler.run_for(1.0)
    assert it.server.numbers == [5]


def test_a_cut_loses_what_is_under_way_and_both_ends_hear_of_it():
    it = world(up={"delay_ms": 100}, down={"delay_ms": 100})
    it.up(1)
    it.down(1)
    it.scheduler.run_for(0.05)
    begun = it.now
    it.connection.cut()
    it.scheduler.run_for(1.0)
    assert (it.server.came, it.client.came) == ([], [])
    assert it.server.broke == [(begun, Reason.BROKEN)]
    assert [(round(at - begun, 3), why) for at, why in it.client.broke] == [(0.1, Reason.BROKEN)]


def test_closing_comes_after_what_was_sent():
    it = world(up={"delay_ms": {"kind": "uniform", "low": 1, "high": 90}})
    for number in range(20):
        it.up(number)
    it.connection.close_client()
    it.up(99)
    it.down(1)
    it.scheduler.run_for(1.0)
    assert it.server.numbers == list(range(20))
    assert len(it.server.broke) == 1
    assert it.server.broke[0][0] >= it.server.came[-1][0]
    assert (it.client.came, it.client.broke) == ([], [])


def test_a_machine_that_came_back_knows_nothing_of_a_connection():
    it = world()
    it.network.broker_powered = False
    it.connection.lose_server()
    it.up(1)
    it.scheduler.run_for(5.0)
    assert it.client.broke == []
    it.network.broker_powered = True
    it.scheduler.run_for(10.0)
    assert [reason for _, reason in it.client.broke] == [Reason.BROKEN]
    assert it.server.came == []


def test_there_may_be_nobody_there():
    it = World()
    it.listening = False
    it.dial()
    assert [reason for _, reason in it.refusals] == [Reason.REFUSED]


def test_dialling_into_a_partition():
    it = World()
    path = it.network.path("c")
    path.blocks += 1
    it.dial()
    it.scheduler.run_for(30.0)
    ((at, reason),) = it.refusals
    assert reason is Reason.TIMEOUT
    assert at == pytest.approx(2.0, abs=0.01)
    it.dial()
    it.scheduler.run_for(0.5)
    path.blocks -= 1
    it.scheduler.run_for(1.0)
    assert it.connection is not None  # the second attempt, after 1 s, got through
    assert len(it.refusals) == 1


def test_an_attempt_that_is_called_off_is_not_heard_of_again():
    it = World()
    it.network.path("c").blocks += 1
    it.dial()()
    it.network.path("c").blocks -= 1
    it.scheduler.run_for(60.0)
    assert it.connection is None
    assert it.refusals == []


def test_draws_of_a_client_do_not_depend_on_the_others():
    def late(*others):
        it = World({"paths": [{"up": {"delay_ms": {"kind": "exponential", "mean": 5}, "loss": 0.1}}]})
        for other in others:
            it.name = other
            it.dial()
            it.up(0)
        it.name = "c"
        it.network.path("c")
        it.scheduler.run_for(5.0 - it.now)
        it.server.came.clear()
        it.dial()
        it.scheduler.run_for(10.0 - it.now)
        for number in range(50):
            it.up(number)
        it.scheduler.run_for(60.0)
        return [at for at, _ in it.server.came]

    assert late() == late("a", "b", "d")
    assert len(late()) == 50


def test_rules_that_change_hold_from_then_on():
    it = world(up={"delay_ms": 1})
    it.network.change(Rules.model_validate({"paths": [{"up": {"delay_ms": 300}}]}))
    begun = it.now
    it.up(1)
    it.scheduler.run_for(1.0)
    assert it.server.came[0][0] - begun == pytest.approx(0.3)
