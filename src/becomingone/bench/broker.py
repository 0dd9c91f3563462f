"""The embedded broker beside Mosquitto: messages a second, round trips and connecting, in turn on this machine.

One publisher, one subscriber. With Mosquitto's own C clients the broker is what is measured; with our link, what a node
or the hub gets of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import statistics
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from becomingone.bench import broker_hosts, broker_traffic
from becomingone.bench.broker_traffic import Clients
from becomingone.bench.report import Report, Row
from becomingone.broker import outgrown
from becomingone.broker.link import Qos
from becomingone.errors import LinkError

_Result = TypeVar("_Result")

Broker = Literal["embedded", "mosquitto"]

MISSING: Final = "no Mosquitto here: apt install mosquitto mosquitto-clients"
ENOUGH: Final = outgrown.MESSAGES_PER_S
"""Messages a second at which the embedded broker says that it is outgrown: so many it must carry."""

QUALITIES: Final[tuple[Qos, ...]] = (0, 1)


def _messages() -> dict[tuple[Broker, Qos], int]:
    return {("embedded", 0): 6_000, ("embedded", 1): 750, ("mosquitto", 0): 45_000, ("mosquitto", 1): 6_000}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    rounds : int
        Each asks one broker and then the other, ≥ 1.
    messages : mapping
        Messages in a round by broker and QoS; our link sends a third of them. At least 3.
    trips, connections : int
        Round trips and connections in a round, ≥ 2.
    """

    rounds: int = 3
    messages: Mapping[tuple[Broker, Qos], int] = field(default_factory=_messages)
    trips: int = 500
    connections: int = 20


def run(effort: Effort | None = None, *, find: Callable[[str], str | None] = broker_hosts.find) -> Report:
    """Measure both brokers; where there is no Mosquitto, the embedded one alone, and every row says so.

    Parameters
    ----------
    effort : Effort, optional
        How much is measured.
    find : callable
        Gives the path of a program, or None where it is not installed.
    """
    pub, sub, mosquitto = find("mosquitto_pub"), find("mosquitto_sub"), find("mosquitto")
    clients = Clients(pub, sub) if pub is not None and sub is not None else None
    with contextlib.ExitStack() as stack:
        ports: dict[Broker, int] = {"embedded": stack.enter_context(broker_hosts.embedded())}
        if mosquitto is not None:
            ports["mosquitto"] = stack.enter_context(broker_hosts.mosquitto(mosquitto))
        return Report("broker", list(_Measurement(effort or Effort(), ports).rows(clients)))


@dataclass(frozen=True, slots=True)
class _Measurement:
    effort: Effort
    ports: Mapping[Broker, int]

    def rows(self, clients: Clients | None) -> Iterator[Row]:
        """Measure one thing after the other."""
        if clients is not None:
            for qos in QUALITIES:
                yield self._rate(f"C clients, QoS {qos}", functools.partial(self._c_rate, clients, qos))
        for qos in QUALITIES:
            yield self._rate(f"our link, QoS {qos}", functools.partial(self._link_rate, qos))
        yield self._time("round trip between our links, p50", self._trips)
        yield self._time("our link connects, p50", self._connections)

    def _c_rate(self, clients: Clients, qos: Qos, broker: Broker) -> float:
        return broker_traffic.c_rate(clients, self.ports[broker], qos, self.effort.messages[broker, qos])

    def _link_rate(self, qos: Qos, broker: Broker) -> float:
        return _run(broker_traffic.link_rate(self.ports[broker], qos, self.effort.messages[broker, qos] // 3))

    def _trips(self, broker: Broker) -> list[float]:
        return _run(broker_traffic.round_trips(self.ports[broker], self.effort.trips))

    def _connections(self, broker: Broker) -> list[float]:
        return _run(broker_traffic.connect_times(self.ports[broker], self.effort.connections))

    def _rate(self, what: str, measure: Callable[[Broker], float]) -> Row:
        rounds = self._in_turn(lambda broker: [measure(broker)])
        rates: dict[Broker, list[float]] = {
            broker: [rate for (rate,) in of_round] for broker, of_round in rounds.items()
        }
        return self._row(what, "msg/s", rates, best=max)

    def _time(self, what: str, measure: Callable[[Broker], list[float]]) -> Row:
        rounds = self._in_turn(measure)
        medians: dict[Broker, list[float]] = {
            broker: [statistics.median(times) * 1e3 for times in of] for broker, of in rounds.items()
        }
        more = {
            f"p99 of {broker}": statistics.quantiles(itertools.chain(*of), n=100)[98] * 1e3
            for broker, of in rounds.items()
        }
        return self._row(what, "ms", medians, best=min, more=more)

    def _in_turn(self, measure: Callable[[Broker], list[float]]) -> dict[Broker, list[list[float]]]:
        rounds = [{broker: measure(broker) for broker in self.ports} for _ in range(self.effort.rounds)]
        return {broker: [of[broker] for of in rounds] for broker in self.ports}

    def _row(
        self,
        what: str,
        unit: str,
        figures: Mapping[Broker, Sequence[float]],
        *,
        best: Callable[[Sequence[float]], float],
        more: Mapping[str, float] | None = None,
    ) -> Row:
        """Compare the best rounds; the ratio is the median round's, because what disturbs a round disturbs both."""
        ours, theirs = figures["embedded"], figures.get("mosquitto")
        bounded = unit == "msg/s" and what.endswith("QoS 0")
        return Row(
            what if theirs else f"{what} ({MISSING})",
            unit,
            best(theirs) if theirs else None,
            best(ours),
            statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)) if theirs else None,
            f"at least {ENOUGH:g} msg/s" if bounded else "reported",
            not bounded or best(ours) >= ENOUGH,
            more or {},
        )


def _run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    try:
        return asyncio.run(asyncio.wait_for(coroutine, broker_traffic.TIMEOUT_S))
    except TimeoutError as error:
        msg = f"our links did not get everything through within {broker_traffic.TIMEOUT_S:g} s"
        raise LinkError(msg) from error
