"""Watches a cell from outside its machines, for as long as a proof runs."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.provisioning.machines import Machines, wait

PROJECT = Path(__file__).resolve().parents[3]


class Observer:
    """Hears everything that an operator may, and answers from it.

    Parameters
    ----------
    machines : Machines
        On whose network.
    host : str
        The broker's name there.
    cell : str
        ``<root>/<cell>``.
    identity : Path
        Folder with the operator's ``tls.crt`` and ``tls.key``.
    authority : Path
        The authority's certificate.
    log : Path
        Takes what is heard.
    """

    def __init__(self, machines: Machines, *, host: str, cell: str, identity: Path, authority: Path, log: Path) -> None:
        self._log = log
        words: list[str | Path] = [sys.executable, "-m", "tests.provisioning.prove.listen", "--host", host]
        words += ["--ca", authority, "--certificate", identity / "tls.crt", "--key", identity / "tls.key"]
        words += ["--cell", cell, "--out", log]
        self._words = machines.as_operator(words)
        self._lines: list[dict[str, Any]] = []
        self._read = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._words, cwd=PROJECT, stdin=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def lines(self) -> list[dict[str, Any]]:
        """Everything heard so far.

        Raises
        ------
        RuntimeError
            The listener has ended.
        """
        if self._process.poll() is not None:
            msg = f"the listener ended with {self._process.returncode}"
            raise RuntimeError(msg)
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._read)
                whole = log.read().rpartition(b"\n")[0]
            if whole:
                self._read += len(whole) + 1
                self._lines += [json.loads(line) for line in whole.splitlines()]
        return self._lines

    def latest(self, topic: str) -> str:
        """The last payload on a topic; empty: none yet."""
        return next((line["payload"] or "" for line in reversed(self.lines()) if line.get("topic") == topic), "")

    def about(self, node: str) -> dict[str, Any]:
        """What a node has last said of itself."""
        said = json.loads(self.latest(f"node/{node}/about") or "{}")
        assert isinstance(said, dict)
        return said

    def times(self, topic: str) -> list[float]:
        """When something came on a topic, without what the broker had kept."""
        return [line["t"] for line in self.lines() if line.get("topic") == topic and not line["retained"]]

    def coherence_now(self, seconds: float = 3) -> float:
        """The coherence; NaN: the mesh has been silent for so long. It is published when it is another than before."""
        phases = self.times("phase")
        alive = phases and phases[-1] > time.monotonic() - seconds
        return float(self.latest("coherence") or "nan") if alive else float("nan")

    def frames(self, node: str, since: float) -> int:
        """How many phase frames of a node have come since an instant (monotonic, s)."""
        return sum(line["frames"].get(node, 0) for line in self.lines() if "frames" in line and line["t"] > since)

    def longest_gap(self, topic: str, since: float) -> float:
        """The longest time without a message on a topic, from an instant until now, s."""
        now = time.monotonic()
        times = [since, *(t for t in self.times(topic) if since < t < now), now]
        return max(b - a for a, b in itertools.pairwise(times))

    def wait_for_ready(self, nodes: Sequence[str], seconds: float, *, coherence: float = 0.9) -> None:
        """Wait until nodes and hub are ready, their frames come in, and the cell is coherent."""
        since = time.monotonic()

        def ready() -> bool:
            states = [self.latest(f"node/{node}/state") for node in nodes] + [self.latest("hub/state")]
            return (
                all(state == "ready" for state in states)
                and all(self.frames(node, since) > 5 for node in nodes)
                and self.coherence_now() > coherence
            )

        try:
            wait(ready, seconds, "a ready mesh")
        except TimeoutError as error:
            found = {node: self.latest(f"node/{node}/state") for node in nodes}
            frames = {node: self.frames(node, since) for node in nodes}
            msg = (
                f"{error}: states {found}, hub {self.latest('hub/state') or 'silent'}, frames {frames},"
                f" coherence {self.coherence_now()}"
            )
            raise TimeoutError(msg) from None
