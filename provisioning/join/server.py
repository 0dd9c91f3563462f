"""The enrolment server: two paths over HTTPS, in a process of its own.

It is not part of the hub. What signs certificates must not be where everybody's MQTT is parsed; and it need not run
when nobody is to join.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import web

from becomingone.provisioning.join.connections import LIMITS, Connections, Limits
from becomingone.provisioning.join.enrolment import Attempt, Enrolment
from becomingone.provisioning.join.log import Attempts
from becomingone.provisioning.join.messages import (
    AUTHORITY_PATH,
    ENROL_PATH,
    MOST_REQUEST,
    Admission,
    Refused,
    Waiting,
    read_request,
)
from becomingone.provisioning.join.rate import RateLimit

_LOG = logging.getLogger(__name__)

_STATUS: Final = {"malformed": 400, "busy": 429, "unavailable": 503}
_UNAVAILABLE_S: Final = 30
_READ_S: Final = 5.0


class EnrolmentServer:
    """Answers machines that want to join.

    Parameters
    ----------
    enrolment : Enrolment
        Decides.
    authority_pem : bytes
        The cell's certificate.
    context : callable
        Gives the server's TLS, asked for with each connection.
    limits : Limits, optional
        Of connections.
    rate : RateLimit, optional
        Of requests.
    """

    def __init__(
        self,
        enrolment: Enrolment,
        authority_pem: bytes,
        context: Callable[[], ssl.SSLContext],
        *,
        limits: Limits = LIMITS,
        rate: RateLimit | None = None,
    ) -> None:
        self._enrolment = enrolment
        self._authority_pem = authority_pem
        self._rate = rate if rate is not None else RateLimit(time.monotonic)
        self._attempts = Attempts(time.monotonic)
        self._context = context
        self._limits = limits
        # One at a time: they wait for one lock and one disk anyway, and the loop stays free.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="enrolment")

    async def serve(self, listener: socket.socket) -> None:
        """Serve until cancelled.

        Parameters
        ----------
        listener : socket
            Bound; it is closed at the end.
        """
        server = web.Server(
            self._answer,
            access_log=None,
            logger=_quiet(),
            keepalive_timeout=2.0,
            lingering_time=0.0,
            max_line_size=1024,
            max_field_size=2048,
            auto_decompress=False,
        )
        try:
            await Connections(server, self._context, self._limits).serve(listener)
        finally:
            await server.shutdown(1.0)
            self._worker.shutdown(wait=True)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._respond(request)
        except Exception:  # noqa: BLE001 - whatever it is, it is told, and the next one is answered
            _LOG.exception("a bug: %s %s", request.remote, request.method)
            return _refused(Refused(refused="unavailable"), retry_s=_UNAVAILABLE_S)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        address = request.remote or "?"
        wait_s = self._rate.wait_s(address)
        if wait_s:
            self._attempts.note(address, "?", "refused, busy: asks too often")
            return _refused(Refused(refused="busy"), retry_s=wait_s)
        if request.method == "GET" and request.path == AUTHORITY_PATH:
            return _closing(web.Response(body=self._authority_pem, content_type="application/x-pem-file"))
        if request.method == "POST" and request.path == ENROL_PATH:
            return await self._enrol(request, address)
        return _refused(Refused(refused="malformed"), status=404)

    async def _enrol(self, request: web.BaseRequest, address: str) -> web.StreamResponse:
        try:
            async with asyncio.timeout(_READ_S):
                body = await _body(request)
        except TimeoutError:
            self._attempts.note(address, "?", "refused, malformed: the request came too slowly")
            return _refused(Refused(refused="malformed"), status=408)
        if body is None:
            self._attempts.note(address, "?", f"refused, malformed: more than {MOST_REQUEST} bytes")
            return _refused(Refused(refused="malformed"), status=413)
        asked = read_request(body)
        if asked is None:
            self._attempts.note(address, "?", "refused, malformed: is no request")
            return _refused(Refused(refused="malformed"))
        attempt = await asyncio.get_running_loop().run_in_executor(self._worker, self._enrolment.ask, asked, address)
        self._tell(attempt, address, asked.node)
        return _response(attempt)

    def _tell(self, attempt: Attempt, address: str, node: str) -> None:
        if isinstance(attempt.outcome, Admission):
            _LOG.info("%s %s admitted: %s", address, node, attempt.reason)
        elif isinstance(attempt.outcome, Waiting):
            self._attempts.note(address, node, f"waiting: {attempt.reason}", logging.INFO)
        else:
            level = logging.ERROR if attempt.outcome.refused == "unavailable" else logging.WARNING
            self._attempts.note(address, node, f"refused, {attempt.outcome.refused}: {attempt.reason}", level)


def _response(attempt: Attempt) -> web.Response:
    outcome = attempt.outcome
    if isinstance(outcome, Refused):
        return _refused(outcome, retry_s=_UNAVAILABLE_S if outcome.refused == "unavailable" else 0.0)
    return _json(outcome, 202 if isinstance(outcome, Waiting) else 200)


def _refused(refused: Refused, *, status: int | None = None, retry_s: float = 0.0) -> web.Response:
    response = _json(refused, status or _STATUS.get(refused.refused, 403))
    if retry_s:
        response.headers["Retry-After"] = str(int(retry_s) + 1)
    return response


def _json(message: Admission | Waiting | Refused, status: int) -> web.Response:
    return _closing(web.Response(text=message.model_dump_json(), status=status, content_type="application/json"))


def _closing(response: web.Response) -> web.Response:
    response.headers["Cache-Control"] = "no-store"
    response.force_close()
    return response


async def _body(request: web.BaseRequest) -> bytes | None:
    """Read a body; None where it is too long, of which no more than the bound is ever held."""
    if (request.content_length or 0) > MOST_REQUEST:
        return None
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MOST_REQUEST:
            return None
    return bytes(body)


def _quiet() -> logging.Logger:
    """Give aiohttp a logger that keeps what strangers send, and its tracebacks, out of the log."""
    logger = logging.getLogger(f"{__name__}.http")
    logger.setLevel(logging.CRITICAL)
    return logger
