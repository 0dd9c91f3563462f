"""Brokers that are measured: each a process of its own, plain, on loopback, gone afterwards whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from becomingone.broker.embedded import EmbeddedBroker, free_port
from becomingone.errors import LinkError

HOST: Final = "127.0.0.1"
_START_S: Final = 10.0


@contextlib.contextmanager
def embedded() -> Generator[int]:
    """Run the embedded broker; gives its port.

    Raises
    ------
    LinkError
        When it does not come up.
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(_START_S):
            msg = "the embedded broker did not start"
            raise LinkError(msg)
        try:
            port: int = ours.recv()
        except EOFError:
            msg = "the embedded broker ended as soon as it was started"
            raise LinkError(msg) from None
        yield port
    finally:
        process.kill()
        process.join()


@contextlib.contextmanager
def mosquitto(program: str) -> Generator[int]:
    """Run a Mosquitto that drops nothing; gives its port.

    Parameters
    ----------
    program : str
        Its path.

    Raises
    ------
    LinkError
        When it does not come up.
    """
    port = free_port(HOST)
    with tempfile.TemporaryDirectory(prefix="becomingone-bench-") as folder:
        settings = Path(folder) / "mosquitto.conf"
        user = pwd.getpwuid(os.getuid()).pw_name  # else one that root starts takes another and cannot read its files
        settings.write_text(
            f"listener {port} {HOST}\nallow_anonymous true\nuser {user}\nset_tcp_nodelay true\n"
            "max_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n",
            "utf-8",
        )
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen([program, "-c", str(settings)], stdout=log, stderr=log)  # noqa: S603 - found above
            try:
                if not _listens(port, process):
                    log.seek(0)
                    msg = f"mosquitto did not start: {log.read().strip()}"
                    raise LinkError(msg)
                yield port
            finally:
                process.kill()
                process.wait()


def find(program: str) -> str | None:
    """Give a program's path; Debian keeps mosquitto where ordinary users do not look."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def _serve(ready: Connection) -> None:
    async def serve() -> None:
        broker = EmbeddedBroker(HOST, 0, tell=lambda _line: None)  # it is to be outgrown
        await broker.start()
        ready.send(broker.port)
        await asyncio.Event().wait()

    asyncio.run(serve())


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return True
        time.sleep(0.01)
    return False
