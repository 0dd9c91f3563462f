"""The snapshot in Prometheus' text format: the same truth for who draws curves of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from becomingone import __version__

__all__ = ["CONTENT_TYPE", "MOST_NODES", "exposition"]

MOST_NODES: Final = 1000
"""Nodes with metrics of their own: each costs about a dozen time series."""

_STATES: Final = ("init", "ready", "sleeping", "disconnected", "lost")

_CELL: Final = (
    ("coherence", "Global coherence over all bands, 0..1"),
    ("order", "Order parameter over all bands, 0..1"),
    ("locking", "Locking order over all bands, 0..1"),
)
_BAND: Final = (
    ("coherence", "Weighted mean of the channels' coherences, 0..1"),
    ("p", "Probability of such a coherence from noise"),
    ("order", "Order parameter R, 0..1"),
    ("order_p", "Probability of such an order from unrelated phases"),
    ("locking", "Locking order, 0..1"),
    ("locking_p", "Probability of such a locking from unrelated channels"),
    ("clock_ceiling", "Greatest R that the clocks allow, 0..1"),
    ("channels", "Channels with a defined phase"),
    ("nodes", "Nodes with a defined phase"),
)
_BAND_TRUTHS: Final = (
    ("collapsed", "1 where the coherence has been significant for the dwell"),
    ("emerged", "1 where the mesh is one"),
)
_NODE: Final = (("silent_s", "silent_seconds", "Seconds since the node was last heard"),)
_NODE_TOTALS: Final = (
    ("frames", "Phase frames taken of the node"),
    ("missing", "Phase frames of the node that never came"),
    ("dropped", "Phase frames that the node could not send"),
)
_HEALTH: Final = (
    ("clock_sigma_s", "clock_sigma_seconds", "Uncertainty of the node's clock"),
    ("clock_offset_s", "clock_offset_seconds", "Mesh time less the node's system clock"),
    ("rss_bytes", "resident_bytes", "Resident memory of the node"),
    ("temperature_c", "temperature_celsius", "The node's processor"),
    ("kept", "kept_frames", "Frames on the node's disk that are not committed yet"),
)


Healths = Mapping[str, Mapping[str, Any]]
"""By node, what it said of its health."""


def exposition(snapshot: Mapping[str, Any], faults: Mapping[str, str], health: Healths | None = None) -> bytes:
    """Write the metrics.

    Parameters
    ----------
    snapshot : mapping
        As published on ``snapshot``; empty before the first.
    faults : mapping of str to str
        By part, what is wrong.
    health : mapping, optional
        The nodes' vital figures.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(snapshot, faults, health or {}))
    return generate_latest(registry)


class _Figures(Collector):
    """Gives the families of one scrape."""

    def __init__(self, snapshot: Mapping[str, Any], faults: Mapping[str, str], health: Healths) -> None:
        self._snapshot = snapshot
        self._faults = faults
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """See `Collector.collect`."""
        yield _one("becomingone_healthy", "1 where /healthz says ok", float(not self._faults))
        yield _labelled("becomingone_build_info", "The hub's version", "version", [(__version__, 1.0)])
        if self._snapshot:
            yield from self._cell()
            yield from self._bands()
            yield from self._nodes()
            yield from self._hub()

    def _cell(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        for key, text in _CELL:
            if snapshot.get(key) is not None:
                yield _one(f"becomingone_{key}", text, snapshot[key])
        for key, text in (("frames", "Phase frames taken"), ("missing", "Phase frames that never came")):
            yield _total(f"becomingone_{key}", text, snapshot.get(key, 0))
        yield _labelled(
            "becomingone_refused",
            "Messages refused, by reason",
            "reason",
            sorted(snapshot.get("refused", {}).items()),
            kind=CounterMetricFamily,
        )

    def _bands(self) -> Iterator[Metric]:
        bands = cast("Mapping[str, Mapping[str, Any]]", self._snapshot.get("bands", {}))
        for key, text in (*_BAND, *_BAND_TRUTHS):
            rows = [(name, float(band[key])) for name, band in bands.items() if band.get(key) is not None]
            if rows:
                yield _labelled(f"becomingone_band_{key}", text, "band", rows)

    def _nodes(self) -> Iterator[Metric]:
        nodes = cast("Mapping[str, Mapping[str, Any]]", self._snapshot.get("nodes", {}))
        states = [node.get("state") for node in nodes.values()]
        counted = [(state, float(states.count(state))) for state in _STATES]
        yield _labelled("becomingone_nodes", "Nodes, by state", "state", counted)
        shown = dict(list(nodes.items())[:MOST_NODES])
        yield _one("becomingone_nodes_not_shown", "Nodes without metrics of their own", float(len(nodes) - len(shown)))
        ready = [(name, float(node.get("state") == "ready")) for name, node in shown.items()]
        yield _labelled("becomingone_node_ready", "1 where the node is ready", "node", ready)
        for key, metric, text in _NODE:
            yield _labelled(f"becomingone_node_{metric}", text, "node", _found(shown, key))
        for key, text in _NODE_TOTALS:
            rows = _found(shown, key)
            yield _labelled(f"becomingone_node_{key}", text, "node", rows, kind=CounterMetricFamily)
        refused = [(name, float(sum(node.get("refused", {}).values()))) for name, node in shown.items()]
        yield _labelled(
            "becomingone_node_refused", "Messages of the node that were refused", "node", refused,
            kind=CounterMetricFamily,
        )  # fmt: skip
        health = {name: self._health[name] for name in shown if name in self._health}
        for key, metric, text in _HEALTH:
            rows = _found(health, key)
            if rows:
                yield _labelled(f"becomingone_node_{metric}", text, "node", rows)

    def _hub(self) -> Iterator[Metric]:
        hub = cast("Mapping[str, Any]", self._snapshot.get("hub", {}))
        for key, metric, text in (
            ("uptime_s", "uptime_seconds", "Seconds since the hub started"),
            ("tick_s", "tick_seconds", "Mean duration of a tick"),
            ("tick_longest_s", "tick_longest_seconds", "Longest tick of the last second"),
            ("tick_latest_s", "tick_latest_seconds", "Greatest lateness of a tick in the last second"),
            ("rss_bytes", "resident_bytes", "Resident memory of the hub"),
        ):
            if hub.get(key) is not None:
                yield _one(f"becomingone_hub_{metric}", text, hub[key])
        if hub.get("cpu_s") is not None:
            yield _total("becomingone_hub_cpu_seconds", "Processor time that the hub has used", hub["cpu_s"])
        for part in ("kept", "memory", "dispatch"):
            figures = cast("Mapping[str, object]", self._snapshot.get(part) or {})
            rows = [(key, float(value)) for key, value in figures.items() if isinstance(value, (int, float))]
            if rows:
                yield _labelled(f"becomingone_{part}", f"Figures of the hub's {part}, by name", "figure", sorted(rows))


def _found(nodes: Mapping[str, Mapping[str, Any]], key: str) -> list[tuple[str, float]]:
    return [(name, float(node[key])) for name, node in nodes.items() if node.get(key) is not None]


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _total(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=float(value))


def _labelled(
    name: str,
    text: str,
    label: str,
    rows: Iterable[tuple[str, float]],
    *,
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily] = GaugeMetricFamily,
) -> Metric:
    family = kind(name, text, labels=[label])
    for value, figure in rows:
        family.add_metric([value], float(figure))
    return family
