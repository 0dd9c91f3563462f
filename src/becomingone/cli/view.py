"""What `up` shows: a banner, one live line of state, and plain lines where there is no terminal."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, TextIO

from becomingone.node.config import DeviceSection, NodeConfig
from becomingone.wire.announce import OutputState

Snapshot = Mapping[str, Any]


def banner(
    *,
    title: str,
    url: str,
    note: str,
    base: str,
    nodes: Sequence[NodeConfig],
    logs: str,
    host: str,
    port: int,
    http: int,
) -> list[str]:
    """Give the lines that say where everything is."""
    lines = [
        f"BecomingONE · {title}",
        f"  broker   {url}{note}",
        f"  topics   {base}/coherence, {base}/band/<band>/coherence (order, locking, phase likewise: plain text)",
        f"           {base}/snapshot (JSON), {base}/node/<node>/phase/<band>/<channel> (CBOR)",
        f"  try      mosquitto_sub -h {host} -p {port} -v -t '{base}/coherence' -t '{base}/node/+/state'",
        f"  hub      http://127.0.0.1:{http}/healthz, and /metrics for Prometheus",
        "  nodes",
    ]
    for node in nodes:
        what = [f"{entry.name} ({entry.kind}{_faster(entry)})" for entry in (*node.inputs, *node.outputs)]
        lines.append(f"    {node.node:<10} {node.hardware:<9} {', '.join(what)}")
    return [*lines, f"  logs     {logs}", "  stop     Ctrl-C"]


def _faster(entry: DeviceSection) -> str:
    """Say so where a recording is replayed at another speed than the world's."""
    speed = entry.options.get("speed", 1) if entry.kind == "recording" else 1
    return "" if speed == 1 else f", {speed:g} times as fast as it was"


def origins(snapshot: Snapshot) -> dict[str, int]:
    """Count the working channels by where their samples come from."""
    counts = {"live": 0, "replayed": 0, "simulated": 0}
    for node in snapshot["nodes"].values():
        for channel in node["channels"].values():
            counts[channel["origin"]] += 1
    return counts


def status_line(snapshot: Snapshot | None, outputs: Mapping[str, OutputState]) -> str:
    """Give one line of state."""
    if snapshot is None:
        return "waiting for the hub's first snapshot"
    nodes = snapshot["nodes"]
    ready = sum(node["state"] == "ready" for node in nodes.values())
    parts = [f"{ready}/{len(nodes)} nodes ready", f"{snapshot['frames']} frames"]
    name = snapshot["dominant_band"]
    if name is not None:
        band = snapshot["bands"][name]
        verdict = "collapsed" if band["collapsed"] else "undecided" if not band["decidable"] else "open"
        locking = "learning" if band["locking"] is None else f"{band['locking']:.2f}"
        parts.append(
            f"{name}: coherence {band['coherence']:.2f} ({verdict}, p {band['p']:.2g}), "
            f"order {band['order']:.2f}, locking {locking}{_apart(snapshot, name)}"
        )
    else:
        parts.append("no rhythm above its floor yet")
    counts = origins(snapshot)
    told = {"live": "real", "replayed": "replayed", "simulated": "simulated"}
    parts.append("inputs: " + ", ".join(f"{counts[key]} {word}" for key, word in told.items() if counts[key]))
    parts.extend(f"{where} {_doing(state)}" for where, state in sorted(outputs.items()))
    return " · ".join(parts)


def _apart(snapshot: Snapshot, band: str) -> str:
    """Say how far apart two channels are, where the band has just two."""
    phases = [
        (name, channel["bands"][band]["phase"])
        for name, node in snapshot["nodes"].items()
        for channel in node["channels"].values()
        if band in channel["bands"] and channel["bands"][band]["valid"]
    ]
    if len(phases) != 2:
        return ""
    (first, a), (second, b) = phases
    apart = math.degrees(abs(math.remainder(a - b, 2 * math.pi)))
    return f", {first} and {second} {apart:.0f}° apart"


def _doing(state: OutputState) -> str:
    if state.doing == "rest":
        return f"rests ({state.why})"
    return " ".join(f"{name} {value:.{2 if abs(value) < 10 else 0}f}" for name, value in state.values.items())


class PlainView:
    """Lines on a stream, for logs and pipes: the state every few seconds."""

    def __init__(self, stream: TextIO, *, every_s: float = 5.0) -> None:
        self.unread = False
        self._stream = stream
        self._every = every_s
        self._next = 0.0

    def line(self, text: str) -> None:
        """Print something that happened; note when nobody reads any more, as after ``| head``."""
        try:
            print(text, file=self._stream, flush=True)
        except BrokenPipeError:
            self.unread = True
            # What is still in the stream's buffer would raise again at the end (Python's own advice for SIGPIPE).
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def state(self, text: str, now_s: float) -> None:
        """Print the state when its time has come."""
        if now_s >= self._next:
            self._next = now_s + self._every
            self.line(text)

    def close(self) -> None:
        """Nothing is held."""


class LiveView:
    """One line at the foot of a terminal, redrawn in place, what happens scrolling above it."""

    unread = False

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.status import Status  # noqa: PLC0415

        self._console = Console(highlight=False)
        self._status = Status("starting", console=self._console)
        self._status.start()

    def line(self, text: str) -> None:
        """Print something that happened."""
        self._console.print(text, markup=False)

    def state(self, text: str, now_s: float) -> None:  # noqa: ARG002 - rich keeps its own pace
        """Show the state."""
        from rich.text import Text  # noqa: PLC0415

        self._status.update(Text(text, no_wrap=True, overflow="ellipsis"))

    def close(self) -> None:
        """Give the line back."""
        self._status.stop()


def make_view(*, json_wanted: bool) -> PlainView | LiveView:
    """Give the view that fits: a live one on a terminal; plain on standard error where the output is for programs."""
    if json_wanted:
        return PlainView(sys.stderr)
    if sys.stdout.isatty() and find_spec("rich") is not None:  # a 32-bit Pi's base install has no rich
        return LiveView()
    return PlainView(sys.stdout)
