"""What brokers and bridges do to messages is done as often as was asked."""

import pytest

from becomingone.sim.packets import Publish

from .wires import world


def test_messages_are_doubled_dropped_and_damaged_as_often_as_was_asked():
    it = world(up={"duplicate": 0.2, "drop": 0.1, "corrupt": 0.3})
    payload = bytes(64)
    for number in range(2000):
        it.connection.up.send(Publish("t", payload, number % 2, number=number))
    it.scheduler.run_for(5.0)
    came = [packet for _, packet in it.server.came]
    once, exactly = [p for p in came if p.qos == 0], [p for p in came if p.qos == 1]
    assert len(once) == pytest.approx(900, abs=40)
    # A message that is damaged is not doubled as well.
    assert len(exactly) == pytest.approx(1000 * (1 + 0.7 * 0.2), abs=50)
    assert sum(p.dup for p in exactly) == len(exactly) - 1000
    flips = [sum(byte.bit_count() for byte in p.payload) for p in came if p.payload != payload]
    assert len(flips) == pytest.approx(570, abs=60)
    assert set(flips) == set(range(1, 9))
    assert sum(why == "corrupt" for _, why in it.faults) == len(flips)
    order = [p.number for p in exactly]
    assert order == sorted(order)
