"""The arguments of ``becomingone memory query|reconstruct|recall|export`` and of ``becomingone explain``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from becomingone.cli.arguments import count, seconds, words
from becomingone.cli.moments import NEGATIVE, moment

if TYPE_CHECKING:
    # argparse has no public name for it
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

Handler = Callable[[argparse.Namespace], int]

_KINDS = ("event", "mesh", "pattern", "signature", "witness")


def add_reading(group: Commands, common: argparse.ArgumentParser, handler: Callable[[str, str], Handler]) -> None:
    """Add these commands to the group ``memory``."""
    query = _command(group, common, "query", "print what was remembered", handler("memory", "query"))
    _add_place(query)
    query.add_argument("--kind", choices=_KINDS, default="event", help="what (default: event)")
    _add_range(query)
    query.add_argument("--band", metavar="NAME", help="only of this band")
    query.add_argument("--limit", type=count, metavar="N", help="so many, at most, the first of them")

    told = "say what the coherence was, and how well that is known; 1 when nobody measured anything"
    again = _command(group, common, "reconstruct", told, handler("memory", "reconstruct_at"))
    _add_place(again)
    again.add_argument("--at", type=moment, required=True, metavar="TIME", help="as for --from of query")
    again.add_argument("--band", metavar="NAME", help="only this band")
    again.add_argument(
        "--channel", metavar="NODE/BAND/CHANNEL", help="how steadily one channel kept its rhythm instead"
    )
    again.add_argument("--window", type=seconds, metavar="S", help="the mean over so long before (default: the moment)")

    recall = _command(group, common, "recall", "find the past moments most like one", handler("memory", "recall"))
    _add_place(recall)
    recall.add_argument("--at", type=moment, default="now", metavar="TIME", help="which moment (default: now)")
    recall.add_argument("--band", required=True, metavar="NAME", help="whose phases are compared")
    recall.add_argument("--top", type=count, default=5, metavar="N", help="how many (default: 5)")
    recall.add_argument("--from", dest="start", type=moment, metavar="TIME", help="only moments from then on")
    recall.add_argument("--apart", type=seconds, default=60.0, metavar="S", help="closer ones are one (default: 60)")
    recall.add_argument("--absolute", action="store_true", help="a rotation of all phases together matters, too")

    export = _command(group, common, "export", "write CSV or XDF", handler("memory", "export_file"))
    _add_place(export)
    _add_range(export)
    export.add_argument("--format", choices=("csv", "xdf"), required=True)
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="what to write, replaced as a whole")
    export.add_argument(
        "--what", type=words, metavar="WHAT,...", help="frames, figures, events (default: CSV figures, XDF all)"
    )
    export.add_argument("--band", metavar="NAME", help="only of this band")
    export.add_argument("--node", metavar="NAME", help="only frames and events of this node")


def add_explain(commands: Commands, common: argparse.ArgumentParser, handler: Callable[[str, str], Handler]) -> None:
    """Add ``explain`` to the commands."""
    explain = _command(commands, common, "explain", "say why the hub said so", handler("explain", "run"))
    explain.add_argument("event", metavar="EVENT", help="its id, such as 7-12; its kind for the last of it; or last")
    _add_place(explain)
    explain.add_argument("--broker", metavar="URL", help="ask a broker for the last of a kind, instead of the memory")
    explain.add_argument("--cell", metavar="NAME", help="with --broker (default: home)")
    explain.add_argument("--root", metavar="NAME", help="with --broker: first level of every topic")


def _command(
    group: Commands, common: argparse.ArgumentParser, name: str, help_text: str, run: Handler
) -> argparse.ArgumentParser:
    command = group.add_parser(name, parents=[common], help=help_text)
    # -2h is a time and no option; argparse has no public way to say so
    command._negative_number_matcher = NEGATIVE  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    command.set_defaults(run=run)
    return command


def _add_place(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="hub.yaml")
    command.add_argument("--database", type=Path, metavar="FILE", help="instead of CONFIG: the memory.db itself")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="override a setting"
    )


def _add_range(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from",
        dest="start",
        type=moment,
        default="-1h",
        metavar="TIME",
        help="now, -2h (s, m, h, d, w), 2026-11-21T18:30:00Z (UTC without a zone), seconds since 1970 (default: -1h)",
    )
    command.add_argument(
        "--to", dest="end", type=moment, default="now", metavar="TIME", help="until then (default: now)"
    )
