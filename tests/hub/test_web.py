"""The hub over HTTP: health that tells the truth, metrics for Prometheus, a dashboard whose every query exists."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from becomingone.hub.web.metrics import MOST_NODES, exposition
from becomingone.hub.web.section import HttpSection
from becomingone.hub.web.server import WebServer

BAND = {
    "coherence": 0.9, "p": 1e-4, "order": 0.8, "order_p": 0.01, "locking": 0.95, "locking_p": 0.001,
    "clock_ceiling": 0.99, "channels": 2, "nodes": 2, "collapsed": True, "emerged": True,
}  # fmt: skip
NODE = {"state": "ready", "silent_s": 0.1, "frames": 5, "missing": 1, "dropped": 0, "refused": {"type": 2}}
SNAPSHOT: dict[str, Any] = {
    "coherence": 0.9, "order": 0.8, "locking": None, "frames": 10, "missing": 1, "refused": {"late": 3},
    "bands": {"stride": BAND},
    "nodes": {"kitchen": NODE, "por\"ch": {**NODE, "state": "lost"}},
    "hub": {
        "uptime_s": 5, "tick_s": 1e-3, "tick_longest_s": 2e-3, "tick_latest_s": 0.0, "rss_bytes": 5e7, "cpu_s": 2.0,
    },
    "kept": {"committed": 4}, "memory": {"records": 7},
}  # fmt: skip
HEALTH = {
    "kitchen": {"clock_sigma_s": 1e-4, "clock_offset_s": 0.1, "rss_bytes": 5, "temperature_c": 40.0, "kept": 0},
}


def families(text: bytes) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        sample.name: {
            tuple(other.labels.values()): other.value for other in family.samples if other.name == sample.name
        }
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


class TestMetrics:
    """The snapshot as metrics."""

    def test_they_say_what_the_snapshot_says(self) -> None:
        found = families(exposition(SNAPSHOT, {}, HEALTH))
        assert found["becomingone_healthy"][()] == 1.0
        assert found["becomingone_coherence"][()] == 0.9
        assert "becomingone_locking" not in found  # nothing stands behind it: no figure is better than a wrong one
        assert found["becomingone_band_emerged"][("stride",)] == 1.0
        assert found["becomingone_refused_total"][("late",)] == 3.0
        assert found["becomingone_nodes"][("lost",)] == 1.0
        assert found["becomingone_node_ready"][('por"ch',)] == 0.0
        assert found["becomingone_node_refused_total"][("kitchen",)] == 2.0
        assert found["becomingone_node_clock_sigma_seconds"] == {("kitchen",): 1e-4}
        assert found["becomingone_memory"][("records",)] == 7.0

    def test_before_the_first_snapshot_there_is_only_whether_it_is_well(self) -> None:
        assert set(families(exposition({}, {"link": "down"}))) == {"becomingone_healthy", "becomingone_build_info"}

    def test_a_crowd_is_counted_and_not_listed(self) -> None:
        crowd = {**SNAPSHOT, "nodes": {f"n{number}": NODE for number in range(MOST_NODES + 5)}}
        found = families(exposition(crowd, {}))
        assert found["becomingone_nodes_not_shown"][()] == 5.0
        assert found["becomingone_nodes"][("ready",)] == MOST_NODES + 5.0
        assert len(found["becomingone_node_ready"]) == MOST_NODES

    def test_every_query_of_the_dashboard_has_its_metric(self) -> None:
        source = resources.files("becomingone.hub.web").joinpath("dashboard.json").read_text("utf-8")
        dashboard = json.loads(source)
        asked = {
            name
            for panel in dashboard["panels"]
            for target in panel["targets"]
            for name in re.findall(r"becomingone_\w+", target["expr"])
        }
        assert len(asked) > 15
        assert asked <= set(families(exposition(SNAPSHOT, {}, HEALTH)))
        assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


class Served:
    """A server, its faults, and a client."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        section = HttpSection(port=0)
        self.server = WebServer(section, faults=lambda: self.faults, snapshot=lambda: SNAPSHOT, health=lambda: HEALTH)

    async def get(self, path: str) -> tuple[int, str]:
        address = await asyncio.wait_for(self.server.listening(), 20)
        async with aiohttp.ClientSession() as session, session.get(address + path) as response:
            return response.status, await response.text()


def serve(use: Callable[[Served], Awaitable[None]]) -> None:
    async def main() -> None:
        served = Served()
        served.server.start()
        try:
            await use(served)
        finally:
            served.server.close()

    asyncio.run(main())


def test_healthz_is_200_while_all_is_well_and_503_with_the_reasons_when_not() -> None:
    async def use(served: Served) -> None:
        assert await served.get("/healthz") == (200, '{"ok": true, "faults": {}}')
        served.faults["link"] = "the broker does not answer"
        status, body = await served.get("/healthz")
        assert (status, json.loads(body)["faults"]) == (503, {"link": "the broker does not answer"})

    serve(use)


def test_metrics_and_the_first_page_are_served_and_nothing_else() -> None:
    async def use(served: Served) -> None:
        status, body = await served.get("/metrics")
        assert (status, "becomingone_healthy 1.0" in body) == (200, True)
        assert (await served.get("/"))[0] == 200
        assert (await served.get("/../etc/passwd"))[0] == 404

    serve(use)


def test_a_port_that_is_taken_is_said_and_does_not_end_the_hub(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            section = HttpSection(port=taken.getsockname()[1])
            server = WebServer(section, faults=dict, snapshot=dict, health=dict)
            server.start()
            for _ in range(2000):
                if "cannot listen" in caplog.text:
                    break
                await asyncio.sleep(0.01)
            server.close()

    asyncio.run(main())
    assert "set http.port to a free one" in caplog.text
