"""The commands as processes, and a cell folder that they share."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from becomingone.broker.ports import free_port

PROGRAM = [sys.executable, "-m", "becomingone", "provision"]
LISTENS = re.compile(r"enrolment for the cell home on https://127\.0\.0\.1:(\d+),")


def run(*words: str, stdin: str = "", code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its exit code is `code`."""
    done = subprocess.run([*PROGRAM, *words], input=stdin, capture_output=True, text=True, timeout=120, check=False)
    assert code is None or done.returncode == code, done.stderr
    return done


def token_of(cell: Path, node: str, *words: str) -> str:
    return json.loads(run("token", node, "--cell-dir", str(cell), "--json", *words).stdout)["token"]


class Server:
    """``provision serve`` on one port, to be killed and started again."""

    def __init__(self, cell: Path, log: Path) -> None:
        self._cell = cell
        self._log = log
        self.port = free_port("127.0.0.1")
        self.url = f"https://127.0.0.1:{self.port}"
        self._heard = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["serve", "--cell-dir", str(self._cell), "--listen", f"127.0.0.1:{self.port}", "--no-mdns"]
        self._heard = len(LISTENS.findall(self._log.read_text())) if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*PROGRAM, *words, "--stop-with-stdin"], stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def wait(self) -> None:
        """Wait until this life of it listens."""
        end = time.monotonic() + 60
        while len(LISTENS.findall(self._log.read_text())) <= self._heard:
            assert self.process is not None
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process = None


@contextlib.contextmanager
def serving(cell: Path, log: Path) -> Generator[Server]:
    server = Server(cell, log)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.kill()


def join(root: Path, url: str, token: str, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    return run("join", "--token-file", "-", "--url", url, "--root", str(root), *words, stdin=token, code=code)


def start_join(root: Path, url: str, token_file: Path) -> subprocess.Popen[bytes]:
    words = ["join", "--token-file", str(token_file), "--url", url, "--root", str(root), "--wait", "60"]
    return subprocess.Popen(
        [*PROGRAM, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
