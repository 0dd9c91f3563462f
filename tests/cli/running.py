"""The program as its users run it: a process of its own, watched from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-m", "becomingone"]


def run(*arguments: str, timeout_s: float = 30.0, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, **environment},
    )


class Up:
    """A running `becomingone up --json`; stopped at the end whatever happens."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.state = state
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*PROGRAM, "up", "--json", "--state", str(state), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_for_line(self, wanted: str, timeout_s: float = 20.0) -> str:
        """Read the program's talk until a line holds `wanted`."""
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), True)
        end = time.monotonic() + timeout_s
        told = []
        while time.monotonic() < end:
            line = self.process.stderr.readline()
            told.append(line)
            if wanted in line:
                return line
            assert line, f"it ended before it said {wanted!r}: {told}"
        raise AssertionError(f"it never said {wanted!r}: {told}")

    def end(self, timeout_s: float = 60.0) -> tuple[int, dict[str, Any], str]:
        """Wait for the end: exit code, the JSON object of the last line, what it said."""
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, json.loads(out.splitlines()[-1]), err

    def interrupt(self, number: int = signal.SIGINT) -> float:
        """Send a signal; give the seconds until the process has ended."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return time.monotonic() - began


def pid_of(state: Path, node: str) -> int:
    """Find a node's process by its command line, as one would with pkill."""
    wanted = str(state / f"{node}.yaml")
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:  # it has just ended
                continue
            if wanted in words and "run" in words:
                return int(folder.name)
    raise AssertionError(f"no process runs {wanted}")
