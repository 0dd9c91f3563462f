"""A real Mosquitto with the configuration that our renderer makes, for tests that look at it from outside."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from becomingone.broker.config import BrokerConfig
from becomingone.broker.mosquitto.files import own_user, private_folder, write_rules
from becomingone.broker.mosquitto.program import Mosquitto, find
from becomingone.broker.mosquitto.render import Files, configuration
from becomingone.broker.ports import free_port

OTHERS = "BECOMINGONE_TEST_MOSQUITTO"
"""Further programs to try, of other versions: paths, a colon between them."""


def installed() -> list[object]:
    """Give every Mosquitto to test with, as pytest's parameters: the system's, and what the environment names."""
    paths = [None, *(Path(path) for path in os.environ.get(OTHERS, "").split(":") if path)]
    return [
        pytest.param(path, id="installed" if path is None else path.parts[2], marks=pytest.mark.mosquitto)
        for path in paths
    ]


def program(path: Path | None) -> Mosquitto:
    return find(path)


class Standing:
    """Runs until closed; `lines` is what it has said, the first `started` of them before it was up."""

    def __init__(
        self, config: BrokerConfig, mosquitto: Mosquitto, *, more_access: str = "", more_lines: str = ""
    ) -> None:
        self.files = files = Files(config.state_dir)
        private_folder(files.folder)
        write_rules(config, files, os.urandom)
        with files.access.open("a") as rules:
            rules.write(more_access)
        files.configuration.write_text(configuration(config, mosquitto, files, user=own_user()) + more_lines)
        self.config = config
        self.lines: list[str] = []
        self.started = 0
        self._up = threading.Event()
        self._process = subprocess.Popen(
            [mosquitto.program, "-c", files.configuration], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if not self._up.wait(10) or not any(line.endswith(" running") for line in self.lines):
            self.close()
            raise AssertionError(f"it did not start: {self.lines}")

    def said(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            if line.endswith(" running\n"):
                self.started = len(self.lines)
                self._up.set()
        self._up.set()

    def __enter__(self) -> Standing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def free() -> int:
    return free_port("127.0.0.1")
