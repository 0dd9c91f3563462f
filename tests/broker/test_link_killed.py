"""Messages of QoS 1 through a real Mosquitto that is killed with SIGKILL again and again.

What the link says of each message is compared with what arrived; then the same with the hub's own acknowledgement.
The small run is for every day; `pytest -m campaign tests/broker/test_link_killed.py -s` does 100,000 through 20 kills.
"""

import random
from collections import Counter

import pytest

from becomingone.broker.kept import KeptSender
from becomingone.broker.kept_receiver import KeptReceiver, Verdict
from becomingone.broker.kept_store import MemoryStore
from becomingone.broker.link import Message
from becomingone.scheduling import NANOSECONDS, Repeating

from .bench import LOCALHOST, Bench, Mosquitto

RUNS = [
    pytest.param(5_000, 3, id="5000 through 3"),
    pytest.param(100_000, 20, id="100000 through 20", marks=pytest.mark.campaign),
]
STREAMS = ("leg", "arm", "ear")


class Kills:
    """Kills the broker each time another share of the messages has come about, and starts it again."""

    def __init__(self, bench: Bench, broker: Mosquitto, messages: int, kills: int, seed: int) -> None:
        rng = random.Random(seed)
        self._broker = broker
        self._due = sorted(rng.sample(range(messages // 20, messages), kills))
        self._rng = rng
        self._bench = bench
        self.done = 0

    def look(self, progress: int) -> None:
        if self.done < len(self._due) and progress >= self._due[self.done]:
            self._broker.kill()
            self.done += 1
            self._bench.loop.call_later(self._rng.uniform(0.0, 0.2), self._broker.start)


@pytest.fixture
def bench():
    with Bench() as made:
        yield made
    assert not made.failures, "an exception was left to the event loop"


@pytest.mark.mosquitto
@pytest.mark.parametrize(("messages", "kills"), RUNS)
def test_the_fate_of_every_message_is_known_and_an_acknowledgement_is_no_delivery(bench, tmp_path, messages, kills):
    with Mosquitto(tmp_path) as broker:
        url = f"mqtt://{LOCALHOST}:{broker.port}"
        arrived: Counter[int] = Counter()
        ear = bench.link("ear", url)
        ear.subscribe("t", lambda message: arrived.update((int(message.payload),)), qos=1)
        bench.up(ear)
        mouth = bench.up(bench.link("mouth", url))
        plan = Kills(bench, broker, messages, kills, seed=messages)
        fates: dict[int, list[bool]] = {}
        refused = 0
        number = 0

        def speak() -> None:
            nonlocal number, refused
            while number < messages:
                told = fates.setdefault(number, [])
                if not mouth.publish("t", b"%d" % number, qos=1, settled=told.append):
                    refused += 1
                    break
                number += 1
            plan.look(sum(map(bool, fates.values())) if number == messages else number)

        pace = Repeating(bench.scheduler, NANOSECONDS // 200, speak)
        assert bench.until(
            lambda: number == messages and all(fates.values()) and plan.done == kills, timeout_s=messages / 100 + 60
        ), (number, plan.done, mouth.metrics)
        pace.cancel()
        settled = mouth.metrics.acknowledged + mouth.metrics.given_up
        bench.until(lambda: len(arrived) == messages, timeout_s=1.0)
    acknowledged = {number for number, told in fates.items() if told == [True]}
    given_up = {number for number, told in fates.items() if told == [False]}
    lost = acknowledged - arrived.keys()
    print(
        f"\n{messages} messages, {kills} kills: {len(acknowledged)} acknowledged by the broker, {len(given_up)} given"
        f" up, {refused} times refused for a full queue or no connection, {mouth.metrics.resent} sent again;"
        f" {len(arrived)} arrived, {sum(arrived.values()) - len(arrived)} of them more than once;"
        f" {len(lost)} acknowledged and never delivered"
    )
    assert all(len(told) == 1 for told in fates.values())
    assert len(acknowledged) + len(given_up) == messages == settled
    assert mouth.metrics.connects == kills + 1


@pytest.mark.mosquitto
@pytest.mark.parametrize(("messages", "kills"), RUNS)
def test_with_the_hubs_own_acknowledgement_every_message_arrives_once_in_order(bench, tmp_path, messages, kills):
    with Mosquitto(tmp_path) as broker:
        url = f"mqtt://{LOCALHOST}:{broker.port}"
        committed: dict[str, list[int]] = {stream: [] for stream in STREAMS}
        receiver = KeptReceiver()

        def take(message: Message) -> None:
            stream, seq = message.payload.decode().split()
            if receiver.take(stream, 1, int(seq)) is Verdict.NEW:
                committed[stream].append(int(seq))
                receiver.committed(stream, 1, int(seq))

        hub = bench.link("hub", url)
        hub.subscribe("t/+", take, qos=1)
        bench.up(hub)

        def acknowledge() -> None:
            for stream, boot, seq in receiver.acknowledgements():
                hub.publish("ack", f"{stream} {boot} {seq}".encode(), qos=1)

        node = bench.link("node", url)
        sender = KeptSender(node, MemoryStore(1 << 30), bench.scheduler)

        def hear(message: Message) -> None:
            stream, boot, seq = message.payload.decode().split()
            sender.acknowledged(stream, int(boot), int(seq))

        node.subscribe("ack", hear, qos=1)
        bench.up(node)
        plan = Kills(bench, broker, messages, kills, seed=messages + 1)
        number = 0

        def speak() -> None:
            nonlocal number
            while number < messages and len(sender) < 2_000:
                stream, seq = STREAMS[number % 3], number // 3
                sender.keep(stream, 1, seq, f"t/{stream}", f"{stream} {seq}".encode())
                number += 1
            plan.look(number)

        turns = [Repeating(bench.scheduler, NANOSECONDS // 200, turn) for turn in (speak, acknowledge)]
        done = bench.until(
            lambda: number == messages and not len(sender) and plan.done == kills, timeout_s=messages / 100 + 60
        )
        for turn in turns:
            turn.cancel()
    print(
        f"\n{messages} messages in {len(STREAMS)} streams, {kills} kills:"
        f" {sum(map(len, committed.values()))} committed, {receiver.duplicates} duplicates"
        f" and {receiver.early} out of order dropped, {sender.resent} sent again;"
        f" {len(sender)} left with the sender"
    )
    assert done, (number, plan.done, len(sender), node.metrics, hub.metrics)
    for place, stream in enumerate(STREAMS):
        assert committed[stream] == list(range(len(range(place, messages, 3))))
    assert len(sender) == sender.dropped == receiver.lost == 0
