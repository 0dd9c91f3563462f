"""The pace of reconnection: a thousand clients do not stampede, and a hundred are back at once.

**Attempts needed.** To be back, each client needs one attempt, the one that succeeds. Every TCP connect that is begun
counts as an attempt, also the one that is refused at once because nobody listens yet. A thousand clients whose broker
is away for up to 8 s make fewer than 1,500 attempts together; of a longer absence nobody knows beforehand when it ends,
so then it is the rate that is bounded: at most 100 a second for a cell of any size above a hundred.

The first half runs in virtual time and simulates the network; `pytest -m campaign tests/broker/test_link_pace.py -s`
has 1,000 real links in this process reconnect to a real Mosquitto that was killed.
"""

import math
import random
import resource
import statistics

import pytest

from becomingone.broker.backoff import LASTING_CAP_S, Backoff
from becomingone.broker.base import LinkBase
from becomingone.broker.dial import TCP_TIMEOUT_S
from becomingone.sim.clock import VirtualScheduler

from .bench import LOCALHOST, Bench, Mosquitto

S = 1_000_000_000


def windows(backoff, count, **options):
    """The longest of many waits after each failure, in seconds, to the nearest hundredth."""
    longest = []
    for _ in range(count):
        failures = backoff.failures
        waits = []
        for _ in range(400):
            backoff.failures = failures
            waits.append(backoff.next_ns(**options) / S)
        longest.append(max(waits))
    return longest


def test_the_window_doubles_up_to_its_cap_and_waits_lie_anywhere_in_it():
    for longest, window in zip(windows(Backoff(random.Random(1)), 7), (0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0), strict=True):
        assert 0.97 * window < longest <= window
    backoff = Backoff(random.Random(2), base_s=1.0, cap_s=1.0)
    waits = sorted(backoff.next_ns() / S for _ in range(2_000))
    assert all(abs(wait - place / 2_000) < 0.05 for place, wait in enumerate(waits))  # Kolmogorov: p < 1e-4


def test_what_a_person_has_to_mend_is_tried_ever_more_seldom():
    longest = windows(Backoff(random.Random(1)), 12, lasting=True)
    assert longest[0] <= 0.1
    assert 0.97 * LASTING_CAP_S < longest[-1] <= LASTING_CAP_S


def test_the_cap_grows_with_the_cell():
    backoff = Backoff(random.Random(1))
    for nodes, base_s, cap_s in ((1, 0.1, 2.0), (100, 0.1, 2.0), (200, 4.0, 4.0), (1_000, 20.0, 20.0)):
        backoff.resize(nodes)
        assert (backoff.base_s, backoff.cap_s) == (base_s, cap_s)
    with pytest.raises(ValueError, match="at least 1 node, not 0"):
        backoff.resize(0)


# -- in virtual time -----------------------------------------------------------------------------------------------


class Network:
    """A broker, and whether it is there and can be reached."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.listens = True
        self.reachable = True
        self.links = []
        self.attempts = []
        self.up = {}

    def kill(self):
        self.listens = False
        self._break()

    def cut(self):
        """Let no packet through any more; for all connections at once, TCP's time limit is up."""
        self.reachable = False
        self._break()

    def _break(self):
        for link in self.links:
            link.broken()


class SimulatedLink(LinkBase):
    """A link that has everything of a real one but the stream: TCP answers, refuses or stays silent."""

    def __init__(self, name, network, nodes):
        super().__init__(name, None, network.scheduler, Backoff(random.Random(name)))
        self.network = network
        self.set_cell_size(nodes)
        network.links.append(self)

    def broken(self):
        self._failed("connection broke")

    def _open(self):
        scheduler = self.network.scheduler
        self.network.attempts.append(scheduler.monotonic_ns())
        self._syn(scheduler.monotonic_ns())

    def _syn(self, begun):
        """Send a SYN, and a second one after a second (RFC 6298, 2.1), as long as the attempt lasts."""
        scheduler = self.network.scheduler
        now = scheduler.monotonic_ns()
        if self.network.reachable:
            scheduler.call_at(now + S // 1_000, self._answered)
        elif now - begun < S:
            scheduler.call_at(now + S, lambda: self._syn(begun))
        else:
            scheduler.call_at(begun + int(TCP_TIMEOUT_S * S), lambda: self._failed("no connection in time"))

    def _answered(self):
        if self.network.listens:
            self._accepted()
            self.network.up[self.client_id] = self.network.scheduler.monotonic_ns()
        else:
            self._failed("connection refused")

    def _ask(self, filters):
        raise NotImplementedError

    _send = _goodbye = _ask


def cell(nodes):
    scheduler = VirtualScheduler()
    network = Network(scheduler)
    links = [SimulatedLink(f"{nodes}-{number}", network, nodes) for number in range(nodes)]
    for link in links:
        link.start()
    scheduler.run_for(60.0)
    assert all(link.connected for link in links)
    network.attempts.clear()
    return scheduler, network, links


@pytest.mark.parametrize("away_s", [0.0, 1.0, 4.0, 8.0])
def test_a_thousand_clients_are_back_within_30_s_with_few_attempts_simulated(away_s):
    scheduler, network, links = cell(1_000)
    killed = scheduler.monotonic_ns()
    network.kill()
    scheduler.run_for(away_s)
    network.listens = True
    scheduler.run_for(30.0 - away_s)
    assert all(link.connected for link in links)
    assert len(network.attempts) <= 1_000 * (math.exp(away_s / 20.0) + 0.05)
    assert len(network.attempts) <= 1_500
    assert max(network.up.values()) - killed <= (20.0 + away_s + 0.1) * S
    busiest = max(sum(begun <= at < begun + S for at in network.attempts) for begun in network.attempts)
    assert busiest < 120


def test_a_broker_that_stays_away_is_not_asked_more_often_than_100_times_a_second_simulated():
    scheduler, network, _ = cell(1_000)
    network.kill()
    scheduler.run_for(40.0)
    network.attempts.clear()
    scheduler.run_for(60.0)
    assert 90 < len(network.attempts) / 60.0 < 110


@pytest.mark.parametrize("nodes", [2, 10, 100])
@pytest.mark.parametrize("cut_s", [0.5, 5.0, 60.0])
def test_after_a_healed_partition_99_of_100_nodes_are_back_within_2_s_simulated(nodes, cut_s):
    recovered = []
    for run in range(max(4, 400 // nodes)):
        scheduler, network, links = cell(nodes)
        network.cut()
        scheduler.run_for(cut_s + run * 0.01)
        network.reachable = True
        healed = scheduler.monotonic_ns()
        scheduler.run_for(10.0)
        assert all(link.connected for link in links)
        recovered += [max(0.0, (at - healed) / S) for at in network.up.values()]
    p99 = statistics.quantiles(recovered, n=100)[-1]
    print(
        f"\nsimulated: {nodes} nodes, cut for {cut_s:g} s: p99 of the recovery {p99:.2f} s, max {max(recovered):.2f} s"
    )
    assert p99 <= 2.0


# -- for real ------------------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.mosquitto
@pytest.mark.parametrize("away_s", [0.0, 5.0])
def test_a_thousand_real_links_are_back_within_30_s_with_few_attempts(tmp_path, away_s):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert most >= 4_096, f"1,000 links need more than {most} open files"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, most))
    try:
        with Mosquitto(tmp_path) as broker, Bench() as bench:
            _reconnect_a_thousand(bench, broker, away_s)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def _reconnect_a_thousand(bench, broker, away_s):
    url = f"mqtt://{LOCALHOST}:{broker.port}"
    times = {}
    for number in range(1_000):
        link = bench.link(f"client-{number}", url, backoff=Backoff(random.Random(number)))
        link.set_cell_size(1_000)
        link.subscribe(f"to/{number}", lambda _message: None, qos=1)
        link.on_up(lambda name=number: times.__setitem__(name, bench.loop.time()))
    for begin in range(0, 1_000, 50):  # they did not start at once in life either
        for link in bench.links[begin : begin + 50]:
            link.start()
        assert bench.until(lambda upto=begin + 50: len(times) >= upto, timeout_s=60)
    before = sum(link.metrics.attempts for link in bench.links)
    times.clear()
    killed = bench.loop.time()
    broker.kill()
    assert bench.until(lambda: not any(link.connected for link in bench.links))
    assert bench.until(lambda: bench.loop.time() >= killed + away_s, timeout_s=away_s + 10)
    broker.start()
    away = bench.loop.time() - killed
    assert bench.until(lambda: len(times) == 1_000, timeout_s=60)
    attempts = sum(link.metrics.attempts for link in bench.links) - before
    took = max(times.values()) - killed
    refused = sum(link.metrics.failures["connection refused"] for link in bench.links)
    print(
        f"\n1,000 real links, the broker away for {away:.1f} s: all back {took:.1f} s after the kill with {attempts}"
        f" attempts ({attempts / 1_000:.2f} each), {refused} of them refused"
    )
    assert took <= 30.0
    assert attempts <= 1_500
