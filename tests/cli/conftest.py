"""A broker and a machine for tests of a node as a process."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.node.supervisor import Supervisor

from becomingone.broker.ports import free_port

from .node_process import Machine
from .running import PROGRAM


@pytest.fixture(scope="session")
def node_broker() -> Generator[tuple[int, subprocess.Popen[bytes]], None, None]:
    port = free_port("127.0.0.1")
    process = subprocess.Popen([*PROGRAM, "broker", "run", "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30.0
        while not _answers(port):
            assert time.monotonic() < end
            time.sleep(0.02)
        yield port, process
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1.0)
        return attempt.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def machine(tmp_path: Path, node_broker: tuple[int, subprocess.Popen[bytes]]) -> Generator[Machine, None, None]:
    with Supervisor(tmp_path) as supervisor:
        made = Machine(tmp_path, supervisor, node_broker[0])
        made.configure()
        yield made
