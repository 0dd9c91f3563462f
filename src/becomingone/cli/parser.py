"""The arguments of every command. Each handler lives in a module of its own, imported when it is called."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from becomingone import __version__

Handler = Callable[[argparse.Namespace], int]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse; the result's ``run`` is the command's handler. Wrong arguments end the program with exit code 2."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show tracebacks and log everything")

    parser = argparse.ArgumentParser(
        prog="becomingone", description="Turns small computers with sensors into one synchronised instrument."
    )
    parser.add_argument("--version", action="version", version=f"becomingone {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_up(commands, common)
    _add_services(commands, common)
    _add_config(commands, common)
    _add_devices(commands, common)
    _add_bench(commands, common)
    _add_sim(commands, common)
    return parser.parse_args(argv)


if TYPE_CHECKING:
    # argparse has no public name for it
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def _add_up(commands: Commands, common: argparse.ArgumentParser) -> None:
    up = commands.add_parser("up", parents=[common], help="a whole mesh on this machine: broker, hub and nodes")
    up.set_defaults(run=_handler("up", "run"))
    up.add_argument("--scenario", default="home", metavar="NAME|FILE", help="what to start (default: home)")
    broker = up.add_mutually_exclusive_group()
    broker.add_argument("--broker", metavar="URL", help="use this broker, mqtt://host:port, and start none")
    broker.add_argument(
        "--broker-kind",
        choices=("auto", "embedded", "mosquitto"),
        default="auto",
        help="which broker to start; auto: Mosquitto where there is a motor, else the embedded one",
    )
    up.add_argument("--port", type=_port, default=1883, help="port of the broker that is started (default: 1883)")
    up.add_argument("--duration", type=_seconds, metavar="S", help="stop by itself after so many seconds")
    up.add_argument("--state", type=Path, metavar="DIR", help="where boot counters, configurations and logs are kept")
    up.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    _add_set(up)


def _add_services(commands: Commands, common: argparse.ArgumentParser) -> None:
    for part, help_text in (("node", "one node"), ("hub", "the hub")):
        group = commands.add_parser(part, help=help_text).add_subparsers(required=True, metavar="COMMAND")
        run = group.add_parser("run", parents=[common], help="run until stopped")
        run.add_argument("config", type=Path, metavar="CONFIG", help=f"{part}.yaml")
        run.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
        run.set_defaults(run=_handler("services", f"run_{part}"))
        _add_set(run)
    _add_broker(commands, common)


def _add_broker(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("broker", help="an MQTT broker").add_subparsers(required=True, metavar="COMMAND")
    run = group.add_parser("run", parents=[common], help="run until stopped: Mosquitto or the embedded one")
    run.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="broker.yaml (default: loopback, embedded)")
    run.add_argument("--port", type=_port, help="without CONFIG: port to listen on, 0 for any (default: 1883)")
    run.add_argument("--scenario", metavar="NAME|FILE", help="what is to run on it; the embedded one takes no motors")
    run.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    run.set_defaults(run=_handler("brokers", "run_broker"))
    _add_set(run)


def _add_config(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("config", help="check, describe and begin configurations").add_subparsers(
        required=True, metavar="COMMAND"
    )
    check = group.add_parser("check", parents=[common], help="say what is wrong in a file, with line and field")
    check.add_argument("file", type=Path, metavar="FILE")
    kinds = ("node", "hub", "broker", "scenario")
    check.add_argument("--as", dest="kind", choices=kinds, help="default: seen from its fields")
    check.set_defaults(run=_handler("configs", "check"))
    _add_set(check)
    for name, help_text in (("schema", "print the JSON Schema"), ("example", "print a commented example")):
        command = group.add_parser(name, parents=[common], help=help_text)
        command.add_argument("kind", choices=("node", "hub", "broker"))
        command.set_defaults(run=_handler("configs", name))


def _add_devices(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("devices", help="the device modules").add_subparsers(required=True, metavar="COMMAND")
    listing = group.add_parser("list", parents=[common], help="the kinds that can be configured here")
    listing.add_argument("--drop-in", type=Path, metavar="DIR", help="a folder of further device modules")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    listing.set_defaults(run=_handler("devices", "list_kinds"))
    show = group.add_parser("show", parents=[common], help="a kind's options")
    show.add_argument("kind")
    show.add_argument("--drop-in", type=Path, metavar="DIR", help="a folder of further device modules")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.set_defaults(run=_handler("devices", "show"))


def _add_bench(commands: Commands, common: argparse.ArgumentParser) -> None:
    bench = commands.add_parser("bench", parents=[common], help="measure against a baseline; 1 when a target is missed")
    bench.add_argument("name", nargs="?", metavar="NAME", help="which one (default: list them)")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.set_defaults(run=_handler("bench", "measure"))


def _add_sim(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("sim", help="a whole mesh in virtual time, with faults").add_subparsers(
        required=True, metavar="COMMAND"
    )
    run = group.add_parser("run", parents=[common], help="simulate a mesh; the same seed gives the same run")
    run.set_defaults(run=_handler("sim", "run"))
    run.add_argument("scenario", nargs="?", metavar="SCENARIO", help="a scenario or its file (default: walkers)")
    run.add_argument("--seed", type=int, default=1, metavar="N", help="everything random is drawn from it (default: 1)")
    run.add_argument("--nodes", type=_count, metavar="N", help="how many (default: the scenario's, or 10)")
    run.add_argument("--duration", type=_seconds, default=60.0, metavar="S", help="virtual seconds (default: 60)")
    run.add_argument("--faults", default="calm", metavar="NAME|FILE", help="what goes wrong (default: calm)")
    run.add_argument("--unsealed", action="store_true", help="hub and nodes have no keys, as in a first trial")
    run.add_argument("--trace", type=Path, metavar="FILE", help="write every event to a file, one JSON object a line")
    run.add_argument("--payloads", action="store_true", help="write whole payloads to the trace, not their hashes")
    run.add_argument("--json", action="store_true", help="print one JSON object")
    _add_set(run)
    again = group.add_parser("replay", parents=[common], help="run a trace again; 1 when something differs")
    again.set_defaults(run=_handler("sim", "replay"))
    again.add_argument("trace", type=Path, metavar="FILE", help="what --trace has written")
    again.add_argument("--json", action="store_true", help="print one JSON object")
    plans = group.add_parser("faults", parents=[common], help="list the fault plans, or print one")
    plans.set_defaults(run=_handler("sim", "faults"))
    plans.add_argument("name", nargs="?", metavar="NAME")


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="override a setting"
    )


def _handler(module: str, function: str) -> Handler:
    def run(arguments: argparse.Namespace) -> int:
        handler: Handler = getattr(import_module(f"becomingone.cli.{module}"), function)
        return handler(arguments)

    return run


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65_535:
        return int(text)
    msg = f"must be a port, 0..65535, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _count(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 100_000:
        return int(text)
    msg = f"must be a number, 1..100000, not {text!r}"
    raise argparse.ArgumentTypeError(msg)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 < value <= 1e9:
        return value
    msg = f"must be a number of seconds above 0, not {text!r}"
    raise argparse.ArgumentTypeError(msg)
