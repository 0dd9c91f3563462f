"""``memory query|reconstruct|recall|export``: what the hub remembers, read while it runs or not."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

from becomingone.cli.exits import Exit
from becomingone.cli.memory_source import database, tiers_of
from becomingone.errors import ConfigError, KernelError
from becomingone.hub.memory.channel_history import channel_key, reconstruct_channel
from becomingone.hub.memory.export import export
from becomingone.hub.memory.export_rows import Exported, What, Where, iso
from becomingone.hub.memory.history import BandCoherence, CoherenceState, reconstruct
from becomingone.hub.memory.protocol import Entry
from becomingone.hub.memory.reader import MemoryReader
from becomingone.hub.memory.recollect import Recalled, recollect
from becomingone.hub.memory.shapes import as_object

_NEWEST_US = 60_000_000
"""µs by which what was written last may be older than now, to pass for it."""


def query(arguments: argparse.Namespace) -> int:
    """Print entries."""
    path, _ = database(arguments)
    start, end = _range(arguments)
    count = 0
    with closing(MemoryReader(path)) as past:
        for entry in past.entries(arguments.kind, start, end):
            if arguments.band is not None and not _about(entry, arguments.band):
                continue
            print(_as_json(entry) if arguments.json else _line(entry, arguments.band))
            count += 1
            if count == arguments.limit:
                break
    if not count and not arguments.json:
        _say(f"nothing of kind {arguments.kind} from {iso(start)} to {iso(end)}")
    return Exit.DONE


def reconstruct_at(arguments: argparse.Namespace) -> int:
    """Print what the coherence was."""
    path, _ = database(arguments)
    if arguments.channel is not None:
        return _channel_at(path, arguments)
    bands, tiers, problems = tiers_of(path, arguments.band)
    for problem in problems:
        _say(problem)
    if not bands:
        msg = f"{path}: no hub has written its band plan here yet"
        raise ConfigError(msg)
    with closing(MemoryReader(path)) as past:
        at = _no_later(arguments.at, past.last("mesh"))
        state = reconstruct(past, tiers, bands, at, round(arguments.window * 1e6) if arguments.window else 0)
    if arguments.json:
        print(json.dumps(_state_json(state)))
    else:
        print("\n".join(_state_lines(state)))
    return Exit.DONE if state.valid else Exit.FAILED


def _channel_at(path: Path, arguments: argparse.Namespace) -> int:
    try:
        key = channel_key(arguments.channel)
    except KernelError as error:
        raise ConfigError(f"--channel {error}") from error
    if arguments.window is None:
        msg = "--channel: needs --window, the seconds over which its rhythm is looked at"
        raise ConfigError(msg)
    bands, _, _ = tiers_of(path, key.band)
    with closing(MemoryReader(path)) as past:
        found = reconstruct_channel(past, bands[0], key, arguments.at, round(arguments.window * 1e6))
    if arguments.json:
        body = {"channel": "/".join(key), "time_us": arguments.at, "window_us": round(arguments.window * 1e6)}
        figures = {"coherence": round(found.coherence, 6), "bound": round(found.bound, 6), "phase": found.phase}
        print(json.dumps({**body, "valid": found.valid, **(figures if found.valid else {})}))
    elif found.valid:
        print(f"{iso(arguments.at)}  {'/'.join(key)}: rhythm kept {found.coherence:.4f} ± {found.bound:.4f}")
    else:
        print(f"{iso(arguments.at)}  {'/'.join(key)}: nothing is known; only channels that are kept are remembered")
    return Exit.DONE if found.valid else Exit.FAILED


def recall(arguments: argparse.Namespace) -> int:
    """Print the past moments that were most like one."""
    path, _ = database(arguments)
    bands, _, _ = tiers_of(path, arguments.band)
    with closing(MemoryReader(path)) as past:
        at = _no_later(arguments.at, past.last("pattern"))
        try:
            found = recollect(
                past,
                bands[0].name,
                at,
                top=arguments.top,
                apart_us=round(arguments.apart * 1e6),
                since_us=arguments.start or 0,
                kind="absolute" if arguments.absolute else "pattern",
            )
        except KernelError as error:
            raise ConfigError(f"--at {iso(at)}: {error}") from error
    print(json.dumps(found.as_json()) if arguments.json else "\n".join(_recalled_lines(found)))
    return Exit.DONE


def export_file(arguments: argparse.Namespace) -> int:
    """Write a file."""
    path, cell = database(arguments)
    start, end = _range(arguments)
    what = _what(arguments)
    out: Path = arguments.out
    if out.is_dir() or not out.parent.is_dir():
        msg = f"--out {out}: must be a file in a folder that is there"
        raise ConfigError(msg)
    bands, _, _ = tiers_of(path, arguments.band)
    progress, finish = _progress(start, end)
    with closing(MemoryReader(path)) as past:
        where = Where(past, start, end, {b.name: b for b in bands}, cell, arguments.band, arguments.node)
        try:
            done = export(where, out, arguments.format, what, progress=progress)
        except OSError as error:
            msg = f"--out {out}: {error.strerror or error}; nothing has been written"
            raise ConfigError(msg) from error
        finally:
            finish()
    _report(done, out, as_json=arguments.json)
    return Exit.DONE


def _range(arguments: argparse.Namespace) -> tuple[int, int]:
    if not arguments.start < arguments.end:
        msg = f"--from {iso(arguments.start)}: must be before --to {iso(arguments.end)}"
        raise ConfigError(msg)
    return arguments.start, arguments.end


def _what(arguments: argparse.Namespace) -> list[What]:
    wanted = arguments.what or (("figures",) if arguments.format == "csv" else get_args(What))
    known = [what for what in get_args(What) if what in wanted]
    if set(wanted) - set(known):
        msg = f"--what {','.join(wanted)}: must be of frames, figures, events"
        raise ConfigError(msg)
    if arguments.format == "csv" and len(known) != 1:
        msg = f"--what {','.join(wanted)}: a CSV file holds one of frames, figures, events; XDF holds all"
        raise ConfigError(msg)
    return known


def _no_later(at_us: int, newest: Entry | None) -> int:
    """Take what was written last for now: it is collected for some seconds before it is written."""
    if newest is not None and newest.time_us < at_us <= newest.time_us + _NEWEST_US:
        return newest.time_us
    return at_us


def _about(entry: Entry, band: str) -> bool:
    return entry.body.get("band") == band or band in as_object(entry.body.get("bands"))


def _as_json(entry: Entry) -> str:
    return json.dumps(
        {"number": entry.number, "kind": entry.kind, "time_us": entry.time_us, "body": entry.body}, sort_keys=True
    )


def _line(entry: Entry, band: str | None) -> str:
    body = entry.body
    head = f"{iso(entry.time_us)}  "
    if entry.kind == "mesh":
        return head + "  ".join(
            _figures(name, figures) for name, figures in sorted(body.get("bands", {}).items()) if band in (None, name)
        )
    if entry.kind == "signature":
        return f"{head}{body.get('why')}  {body.get('band', 'mesh')}  coherence {body['coherence']:.3f}"
    if entry.kind == "event":
        rest = {name: value for name, value in body.items() if name not in ("id", "kind", "time_us")}
        return f"{head}{body.get('id', '?')}  {body.get('kind')}  {_short(rest)}"
    return head + _short(body)


def _figures(name: str, figures: dict[str, Any]) -> str:
    if not figures.get("channels"):
        return f"{name}: no channels"
    parts = [f"{name}: C {figures.get('coherence', 0.0):.3f}", f"R {figures.get('order', 0.0):.3f}"]
    if "locking" in figures:
        parts.append(f"lock {figures['locking']:.3f}")
    return " ".join([*parts, *(["collapsed"] if figures.get("collapsed") else [])])


def _short(body: dict[str, Any], most: int = 160) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _state_json(state: CoherenceState) -> dict[str, Any]:
    value = state.coherence
    return {
        "time_us": state.time_us,
        "valid": state.valid,
        "coherence": round(value, 6) if value is not None else None,
        "bound": round(state.bound, 6),
        "bands": [band.as_json() for band in state.bands],
    }


def _state_lines(state: CoherenceState) -> Iterator[str]:
    value = state.coherence
    yield f"{iso(state.time_us)}  " + (
        f"coherence {value:.4f} ± {state.bound:.4f}" if value is not None else "nobody measured anything"
    )
    for band in state.bands:
        yield f"  {band.band:<14} {_band_text(band)}"


def _band_text(band: BandCoherence) -> str:
    if not band.valid:
        return "no channels" if band.source == "entry" else "nothing is known"
    if band.bound >= 1.0:
        known = band.resolution_us / 1e6
        return f"the memory knows means over {known:.0f} s and more there, and nothing finer: ask with --window"
    text = f"coherence {band.coherence:.4f}  order {band.order:.4f}  ± {band.bound:.4f}"
    text += f"  rhythm kept {abs(band.resonance):.3f} ± {band.resonance_bound:.3f}" if band.window_us else ""
    text += "  collapsed" if band.collapsed else ""
    told = {"entry": f"as published at {iso(band.time_us)}", "beats": "exact", "tiers": "from the tiers"}[band.source]
    return f"{text}  ({told})"


def _recalled_lines(recalled: Recalled) -> Iterator[str]:
    found = recalled.found
    yield f"{recalled.band} at {iso(recalled.time_us)}, {recalled.channels} channels, against {found.searched} moments"
    if not found.searched:
        yield "  there is no earlier moment with enough of these channels"
        return
    for row in range(len(found.index)):
        yield (
            f"  {iso(int(found.time_us[row]))}  score {found.similarity[row]:.4f}  p_any {found.p_any[row]:.2g}"
            f"  channels {int(found.overlap[row])}"
        )
    yield (
        f"  typical score {found.typical:.4f}: where the best is hardly above it, the moment is like all others;"
        " p_any is of unrelated phases"
    )


def _report(done: Exported, out: Path, *, as_json: bool) -> None:
    unreadable = dict(sorted(done.unreadable.items()))
    if as_json:
        body = {"file": str(out), "samples": done.samples, "figures": done.figures, "events": done.events}
        print(json.dumps({**body, "unreadable": unreadable}))
    else:
        print(f"{out}: {done.samples} samples, {done.figures} rows of figures, {done.events} events")
        if unreadable:
            _say(f"left out, for they cannot be read: {', '.join(f'{n} {why}' for why, n in unreadable.items())}")


def _progress(start_us: int, end_us: int) -> tuple[Callable[[int, int], None], Callable[[], None]]:
    if not sys.stderr.isatty():
        return lambda _count, _time: None, lambda: None

    def show(count: int, time_us: int) -> None:
        share = min(1.0, max(0.0, (time_us - start_us) / (end_us - start_us)))
        bar = "#" * round(30 * share)
        sys.stderr.write(f"\r[{bar:<30}] {iso(time_us)[:19]}  {count} written ")
        sys.stderr.flush()

    return show, lambda: print(file=sys.stderr)


def _say(text: str) -> None:
    print(f"becomingone: {text}", file=sys.stderr)
