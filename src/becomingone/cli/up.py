"""``becomingone up``: a whole mesh on one machine, each part as it would run on its own.

The hub and every node are processes of their own, started with configurations of their own, that meet at the broker
and nowhere else; this process starts them, keeps them running, and watches the mesh as any MQTT client would.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import yaml

from becomingone.broker.backoff import Backoff
from becomingone.broker.paho import PahoLink
from becomingone.broker.ports import free_port
from becomingone.broker.settings import BrokerSettings
from becomingone.cli import process
from becomingone.cli.children import Child
from becomingone.cli.exits import Exit
from becomingone.cli.folder import state_folder
from becomingone.cli.scenario import Scenario, load_scenario, plain
from becomingone.cli.up_broker import broker_for
from becomingone.cli.view import LiveView, PlainView, banner, make_view, origins, status_line
from becomingone.cli.watching import MeshWatch, Snapshot
from becomingone.errors import ConfigError, LinkError
from becomingone.hub.config import HubConfig
from becomingone.scheduling import LoopScheduler
from becomingone.wire.topics import Topics

NODES_STOP_S = 0.8
"""Seconds that the nodes have to say goodbye; the hub has `HUB_STOP_S` after them, all within the promised 2 s."""
HUB_STOP_S = 0.6
CONNECT_S = 5.0
"""Seconds within which a broker that was named must answer."""


def run(arguments: argparse.Namespace) -> int:
    """Start the mesh, show it, stop it."""
    process.set_up_logging("DEBUG" if arguments.debug else "ERROR")  # the view says what people need
    scenario = load_scenario(arguments.scenario, overrides=arguments.overrides, environ=os.environ)
    named = _broker_settings(arguments.broker) if arguments.broker is not None else None
    with state_folder(arguments.state, os.environ) as folder:
        return asyncio.run(_Up(arguments, scenario, folder, named).run())


class _Up:
    def __init__(
        self, arguments: argparse.Namespace, scenario: Scenario, state_dir: Path, named_broker: BrokerSettings | None
    ) -> None:
        self._arguments = arguments
        self._scenario = scenario
        self._state_dir = state_dir
        self._named_broker = named_broker
        self._view: PlainView | LiveView = make_view(json_wanted=arguments.json)
        self._topics = Topics(scenario.root, scenario.cell)
        self._note = ""
        self._http = arguments.http or free_port("127.0.0.1")
        self._lost = False
        self._broken = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        stop = loop.create_task(process.stop_signal(loop))
        try:
            async with self._broker() as settings:
                children = self._children(settings)
                watch = self._watch(settings)
                if not await self._reach(watch, settings, stop):
                    return Exit.DONE
                running = [loop.create_task(child.run()) for child in children]
                broken = loop.create_task(self._broken.wait())
                self._show_banner(settings)
                ended = await self._until_the_end(watch, [*running, broken], stop)
                broken.cancel()
                figures = watch.snapshot
                await self._stop(children, watch)
                for task in running:
                    await task  # a part that could not be kept running says so here
                if self._arguments.json:
                    print(json.dumps(_report(figures, watch.snapshot, ended)), flush=True)
        finally:
            stop.cancel()
            self._view.close()
        return Exit.FAILED if self._view.unread or self._broken.is_set() else Exit.DONE

    @contextlib.asynccontextmanager
    async def _broker(self) -> AsyncGenerator[BrokerSettings, None]:
        if self._named_broker is not None:
            yield self._named_broker
            return
        asked = self._arguments
        async with broker_for(
            self._scenario, kind=asked.broker_kind, port=asked.port, folder=self._state_dir, tell=self._view.line
        ) as started:
            self._note = started.note
            self._broken = started.broken
            yield started.settings

    def _children(self, settings: BrokerSettings) -> list[Child]:
        """Write every part's configuration and make its process: the hub first, then the nodes in their order."""
        folder = self._state_dir
        parts: list[tuple[str, list[str], dict[str, object]]] = [
            ("hub", ["hub", "run"], plain(self._hub_config(settings, folder)))
        ]
        parts += [
            (config.node, ["node", "run"], plain(config)) for config in self._scenario.node_configs(settings, folder)
        ]
        children: list[Child] = []
        for name, words, content in parts:
            path = folder / f"{name}.yaml"
            path.touch(mode=0o600)
            path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")
            log = folder / f"{name}.log"
            log.write_bytes(b"")
            backoff = Backoff(random.Random(), base_s=0.5, cap_s=5.0)  # noqa: S311 - paces restarts
            arguments = [*words, str(path), *(["--debug"] if self._arguments.debug else [])]
            children.append(Child(name, arguments, log=log, backoff=backoff, on_death=self._view.line))
        return children

    def _hub_config(self, settings: BrokerSettings, folder: Path) -> HubConfig:
        config = self._scenario.hub_config(settings, folder)
        return config.model_copy(update={"http": config.http.model_copy(update={"port": self._http})})

    def _watch(self, settings: BrokerSettings) -> MeshWatch:
        link = PahoLink(
            f"{self._scenario.cell}-up-{os.getpid()}",
            None,
            settings=settings,
            scheduler=LoopScheduler(asyncio.get_running_loop()),
            backoff=Backoff(random.Random()),  # noqa: S311 - paces reconnections
        )
        return MeshWatch(self._topics, link, self._tell_event)

    async def _reach(self, watch: MeshWatch, settings: BrokerSettings, stop: asyncio.Task[None]) -> bool:
        """Connect; False when told to stop meanwhile.

        Raises
        ------
        LinkError
            When the broker does not answer.
        """
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def settle(reason: str | None) -> None:
            if not outcome.done():
                outcome.set_result(reason)

        watch.link.on_up(lambda: settle(None))
        watch.link.on_down(settle)
        watch.start()
        either: list[asyncio.Future[Any]] = [outcome, stop]
        await asyncio.wait(either, timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            watch.link.close()
            return False
        reason = outcome.result() if outcome.done() else f"no answer within {CONNECT_S:g} s"
        if reason is not None:
            watch.link.close()
            raise LinkError(f"the broker {settings.url} cannot be reached: {reason}")
        watch.link.on_down(self._broker_lost)
        watch.link.on_up(self._broker_back)
        return True

    def _broker_lost(self, reason: str) -> None:
        if not self._lost:
            self._lost = True
            self._view.line(f"the broker is out of reach: {reason}; everybody tries again")

    def _broker_back(self) -> None:
        self._lost = False
        self._view.line("the broker is back")

    def _show_banner(self, settings: BrokerSettings) -> None:
        for line in banner(
            title=self._scenario.title,
            url=settings.url,
            note=self._note,
            base=self._topics.base,
            nodes=self._scenario.node_configs(settings, self._state_dir),
            logs=f"{self._state_dir}/<node>.log",
            host=settings.host,
            port=settings.port,
            http=self._http,
        ):
            self._view.line(line)

    def _tell_event(self, event: Snapshot) -> None:
        about = event.get("node") or f"{event.get('band')}: coherence {event.get('coherence')}, p {event.get('p')}"
        self._view.line(f"{event['kind']}: {about}")

    async def _until_the_end(
        self, watch: MeshWatch, running: Sequence[asyncio.Task[Any]], stop: asyncio.Task[None]
    ) -> float:
        """Show the state until a signal, the end of the duration, the last reader, or a part that cannot be kept up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        end = began + (self._arguments.duration or float("inf"))
        while (
            not stop.done() and not self._view.unread and not any(task.done() for task in running) and loop.time() < end
        ):
            self._view.state(status_line(watch.snapshot, watch.outputs), loop.time())
            await asyncio.wait(
                [stop, *running], timeout=min(0.5, end - loop.time()), return_when=asyncio.FIRST_COMPLETED
            )
        return loop.time() - began

    async def _stop(self, children: list[Child], watch: MeshWatch) -> None:
        """Stop the nodes, then the hub, which hears their goodbyes, then our own link, which hears the hub's."""
        hub, *nodes = children
        await asyncio.gather(*(node.stop(NODES_STOP_S) for node in nodes))
        await hub.stop(HUB_STOP_S)
        closed = asyncio.Event()
        watch.link.close(closed.set)
        await closed.wait()


def _broker_settings(url: str) -> BrokerSettings:
    try:
        return BrokerSettings(url=url)
    except ValueError as error:
        msg = f"--broker {url}: must be mqtt://host or mqtt://host:port, or the same with mqtts, ws or wss"
        raise ConfigError(msg) from error


def _process_start_us() -> int:
    """When this process began, µs since the Unix epoch, as the kernel tells it (proc(5), stat and uptime)."""
    now_us = time.time_ns() // 1_000
    if not sys.platform.startswith("linux"):
        return now_us
    ticks = int(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19])
    uptime_s = float(Path("/proc/uptime").read_text("ascii").split()[0])
    return now_us - int(max(0.0, uptime_s - ticks / os.sysconf("SC_CLK_TCK")) * 1e6)


def _report(figures: Snapshot | None, last: Snapshot | None, duration_s: float) -> dict[str, Any]:
    """Put the final JSON object together: the mesh's figures while it ran, its counters after everybody's goodbye."""
    figures = figures or {"nodes": {}, "bands": {}}
    last = last or {"nodes": {}}
    counts = origins(figures)
    start_us = _process_start_us()

    def since_start(moment_us: int | None) -> float | None:
        return None if moment_us is None else round((moment_us - start_us) / 1e6, 3)

    dropped = {
        "never arrived": last.get("missing", 0),
        "never sent": sum(node["dropped"] for node in last["nodes"].values()),
        **last.get("refused", {}),
    }
    return {
        "nodes": sum(node["state"] == "ready" for node in figures["nodes"].values()),
        "frames": last.get("frames", 0),
        "dropped": sum(dropped.values()),
        "dropped_reasons": {reason: count for reason, count in dropped.items() if count},
        "coherence": figures.get("coherence"),
        "order": figures.get("order"),
        "locking": figures.get("locking"),
        "first_coherence_s": since_start(last.get("first_coherence_us")),
        "first_significant_s": since_start(last.get("first_significant_us")),
        "real_inputs": counts["live"],
        "replayed_inputs": counts["replayed"],
        "simulated_inputs": counts["simulated"],
        "duration_s": round(duration_s, 3),
        "bands": figures["bands"],
    }
