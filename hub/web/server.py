"""A small HTTP server in the hub's own event loop: a hub whose loop hangs answers nobody, and is not well."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from becomingone.hub.web.metrics import CONTENT_TYPE, Healths, exposition
from becomingone.hub.web.section import HttpSection

if TYPE_CHECKING:
    from aiohttp import web

_LOG = logging.getLogger(__name__)

RETRY_S: Final = 10.0
"""Seconds after which a port that was taken is asked for again: the mesh does not wait for the web."""

SHUTDOWN_S: Final = 0.5
"""Seconds that an answer which is under way has when the hub ends."""

Faults = Callable[[], Mapping[str, str]]
"""Gives, by part, what is wrong with it; empty where the hub is well."""

Snapshot = Callable[[], Mapping[str, Any]]
"""Gives the last snapshot, as it was published; empty before the first."""

_INDEX: Final = """<!doctype html><meta charset="utf-8"><title>BecomingONE</title>
<h1>BecomingONE hub</h1><p><a href="healthz">healthz</a>: whether it is well.
<a href="metrics">metrics</a>: for Prometheus.</p>
"""


class WebServer:
    """Serves what the hub knows.

    Parameters
    ----------
    section : HttpSection
        Where.
    faults : callable
        What is wrong.
    snapshot : callable
        The mesh.
    health : callable
        Gives the nodes' vital figures.

    Attributes
    ----------
    address : str or None
        ``http://host:port`` once it listens.
    """

    def __init__(
        self, section: HttpSection, *, faults: Faults, snapshot: Snapshot, health: Callable[[], Healths]
    ) -> None:
        self._section = section
        self._faults = faults
        self._health = health
        self._snapshot = snapshot
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self.address: str | None = None
        self._response: type[web.Response]

    def start(self) -> None:
        """Begin to listen; needs a running loop."""
        if self._section.enabled:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._serve(), name="http")
            self._task.add_done_callback(lambda task: _told(loop, task))

    def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()

    async def listening(self) -> str:
        """Wait until it listens; give the address."""
        await self._listening.wait()
        return self.address or ""

    async def _serve(self) -> None:
        # A sixth of all imports: in a thread, it is done while the hub waits for the broker.
        await asyncio.to_thread(import_module, "aiohttp.web")
        from aiohttp import web  # noqa: PLC0415 - see above

        self._response = web.Response
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/healthz", self._healthz),
                web.get("/metrics", self._metrics),
            ]
        )
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        handler = cast("web.Server", runner.server)  # None only before `setup`
        try:
            server = await self._listen(handler)
            try:
                await asyncio.Event().wait()
            finally:
                server.close()
        finally:
            self.address = None
            await handler.shutdown(SHUTDOWN_S)  # how a site or a runner is told this differs between 3.8 and 3.9
            await runner.cleanup()

    async def _listen(self, handler: web.Server) -> asyncio.Server:
        section, told = self._section, False
        loop = asyncio.get_running_loop()
        while True:
            try:
                server = await loop.create_server(handler, section.host, section.port)
            except OSError as error:
                if not told:
                    _LOG.error(
                        "http: cannot listen on %s:%s (%s); tried again every %g s: set http.port to a free one",
                        section.host,
                        section.port,
                        error.strerror or error,
                        RETRY_S,
                    )
                    told = True
                await asyncio.sleep(RETRY_S)
            else:
                break
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._listening.set()
        _LOG.info("http: %s serves healthz and metrics", self.address)
        return server

    async def _index(self, _request: web.Request) -> web.Response:
        return self._response(text=_INDEX, content_type="text/html")

    async def _healthz(self, _request: web.Request) -> web.Response:
        faults = dict(self._faults())
        body = json.dumps({"ok": not faults, "faults": faults})
        return self._response(text=body, status=503 if faults else 200, content_type="application/json")

    async def _metrics(self, _request: web.Request) -> web.Response:
        return self._response(
            body=exposition(self._snapshot(), self._faults(), self._health()), headers={"Content-Type": CONTENT_TYPE}
        )


def _told(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """Hand what ended the server to whoever looks after the loop."""
    if not task.cancelled() and (error := task.exception()) is not None:
        loop.call_exception_handler({"message": "the HTTP server ended", "exception": error})
