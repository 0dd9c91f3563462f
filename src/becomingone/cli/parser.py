"""The arguments of every command. Each handler lives in a module of its own, imported when it is called."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from becomingone import __version__
from becomingone.cli.arguments import count, port, pulses, seconds, validity, words

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

    # Where the command is plain, the others' arguments are not asked for: to make them costs 2 % of a node's start.
    groups = _groups()
    for name in argv[:1] if argv[:1] and argv[0] in groups else groups:
        groups[name](commands, common)
    return parser.parse_args(argv)


if TYPE_CHECKING:
    # argparse has no public name for it
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def _groups() -> dict[str, Callable[[Commands, argparse.ArgumentParser], object]]:
    """Give what adds each command, in the order of the help."""
    return {
        "up": _add_up,
        "node": _add_node,
        "hub": _add_hub,
        "broker": _add_broker,
        "provision": _add_provision,
        "operate": _add_operate,
        "memory": _add_memory,
        "explain": _add_explain,
        "config": _add_config,
        "devices": _add_devices,
        "bench": _add_bench,
        "sim": _add_sim,
    }


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
    up.add_argument("--port", type=port, default=1883, help="port of the broker that is started (default: 1883)")
    up.add_argument("--http", type=port, default=0, help="port of the hub's healthz and metrics (default: a free one)")
    up.add_argument("--duration", type=seconds, metavar="S", help="stop by itself after so many seconds")
    up.add_argument("--state", type=Path, metavar="DIR", help="where boot counters, configurations and logs are kept")
    up.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    _add_set(up)


def _add_node(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _add_service("node", "one node", "node_run", commands, common)
    _add_unit(group, common)
    _add_calibrate(group, common)


def _add_hub(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = _add_service("hub", "the hub", "hub_run", commands, common)
    dashboard = group.add_parser("dashboard", parents=[common], help="print the dashboard for Grafana, as JSON")
    dashboard.set_defaults(run=_handler("dashboard", "print_dashboard"))


def _add_service(
    part: str, help_text: str, module: str, commands: Commands, common: argparse.ArgumentParser
) -> Commands:
    group = commands.add_parser(part, help=help_text).add_subparsers(required=True, metavar="COMMAND")
    run = group.add_parser("run", parents=[common], help="run until stopped")
    run.add_argument("config", type=Path, metavar="CONFIG", help=f"{part}.yaml")
    run.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    run.set_defaults(run=_handler(module, f"run_{part}"))
    _add_set(run)
    return group


def _add_calibrate(group: Commands, common: argparse.ArgumentParser) -> None:
    calibrate = group.add_parser("calibrate", parents=[common], help="measure how late a microphone or a camera is")
    calibrate.set_defaults(run=_handler("calibrate", "calibrate"))
    calibrate.add_argument("config", type=Path, metavar="CONFIG", help="node.yaml; stop the node before")
    calibrate.add_argument("--input", required=True, metavar="NAME", help="the input that is measured")
    calibrate.add_argument("--output", required=True, metavar="NAME", help="the speaker or display that is pulsed")
    calibrate.add_argument("--channel", metavar="NAME", help="which channel of the input, where it has several")
    calibrate.add_argument("--count", type=pulses, default=20, metavar="N", help="pulses, 5..1000 (default: 20)")
    calibrate.add_argument("--seed", type=int, metavar="N", help="draws the intervals (default: another each time)")
    calibrate.add_argument("--json", action="store_true", help="print one JSON object")
    _add_set(calibrate)


def _add_unit(group: Commands, common: argparse.ArgumentParser) -> None:
    unit = group.add_parser("unit", parents=[common], help="print the systemd unit that runs a node on this machine")
    unit.set_defaults(run=_handler("units", "print_unit"))
    unit.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="node.yaml, where the unit will find it")
    unit.add_argument("--user", metavar="NAME", help="run as this user (default: one that systemd makes for it)")
    unit.add_argument(
        "--allow",
        type=words,
        default=(),
        metavar="HARDWARE,...",
        help="hardware that is needed besides what the device modules show: audio, gpio, i2c, spi, serial, camera",
    )
    unit.add_argument("--systemd", type=count, metavar="VERSION", help="for this version (default: the one here)")
    unit.add_argument(
        "--hardware-watchdog",
        action="store_true",
        help="print instead the system.conf.d file that has the machine's own watchdog strike when systemd hangs",
    )
    _add_set(unit)


def _add_broker(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("broker", help="an MQTT broker").add_subparsers(required=True, metavar="COMMAND")
    run = group.add_parser("run", parents=[common], help="run until stopped: Mosquitto or the embedded one")
    run.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="broker.yaml (default: loopback, embedded)")
    run.add_argument("--port", type=port, help="without CONFIG: port to listen on, 0 for any (default: 1883)")
    run.add_argument("--scenario", metavar="NAME|FILE", help="what is to run on it; the embedded one takes no motors")
    run.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    run.set_defaults(run=_handler("brokers", "run_broker"))
    _add_set(run)


def _add_provision(commands: Commands, common: argparse.ArgumentParser) -> None:
    from becomingone.cli.provision import add_provision  # noqa: PLC0415 - no other command needs its arguments

    add_provision(commands, common, _handler)


_VERBS = ("identify", "reload", "loglevel", "log", "restart")


def _add_operate(commands: Commands, common: argparse.ArgumentParser) -> None:
    operate = commands.add_parser("operate", parents=[common], help="have a node do something, through the hub")
    operate.set_defaults(run=_handler("operate", "run"))
    operate.add_argument("node", metavar="NODE", help="the node's id")
    operate.add_argument("verb", choices=(*_VERBS, "forget"), help="what it is to do")
    operate.add_argument(
        "arguments", nargs="*", metavar="KEY=VALUE", help="identify: seconds; loglevel: level; log: lines"
    )
    operate.add_argument("--broker", metavar="URL", help="default: mqtt://127.0.0.1:1883")
    operate.add_argument("--cell", metavar="NAME", help="default: home")
    operate.add_argument("--root", metavar="NAME", help="first level of every topic (default: becomingone)")
    operate.add_argument("--config", type=Path, metavar="FILE", help="a file with cell, root and the section broker")
    operate.add_argument(
        "--timeout", type=validity, default=10.0, metavar="S", help="s in which the node is to do it, 1..10 (default)"
    )
    operate.add_argument("--json", action="store_true", help="print the outcome as one JSON object")


def _add_memory(commands: Commands, common: argparse.ArgumentParser) -> None:
    from becomingone.cli.memory_arguments import add_store  # noqa: PLC0415 - no other command needs them
    from becomingone.cli.memory_reading import add_reading  # noqa: PLC0415

    memory = commands.add_parser("memory", help="what the hub remembers")
    group = memory.add_subparsers(required=True, metavar="COMMAND")
    add_store(group, common, _handler)
    add_reading(group, common, _handler)


def _add_explain(commands: Commands, common: argparse.ArgumentParser) -> None:
    from becomingone.cli.memory_reading import add_explain  # noqa: PLC0415

    add_explain(commands, common, _handler)


def _add_config(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("config", help="check, describe and begin configurations").add_subparsers(
        required=True, metavar="COMMAND"
    )
    check = group.add_parser("check", parents=[common], help="say what is wrong in a file, with line and field")
    check.add_argument("file", type=Path, metavar="FILE")
    kinds = ("node", "hub", "broker", "scenario", "mesh")
    check.add_argument("--as", dest="kind", choices=kinds, help="default: seen from its fields")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(run=_handler("configs", "check"))
    _add_set(check)
    diff = group.add_parser("diff", parents=[common], help="say what changes from one file to another")
    diff.add_argument("old", type=Path, metavar="OLD")
    diff.add_argument("new", type=Path, metavar="NEW")
    diff.add_argument("--as", dest="kind", choices=kinds, help="default: seen from the fields of NEW")
    diff.add_argument("--json", action="store_true", help="print one JSON object")
    diff.set_defaults(run=_handler("configs", "diff"))
    for name, help_text in (("schema", "print the JSON Schema"), ("example", "print a commented example")):
        command = group.add_parser(name, parents=[common], help=help_text)
        command.add_argument("kind", choices=("node", "hub", "broker", "mesh"))
        command.set_defaults(run=_handler("configs", name))


def _add_devices(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("devices", help="the device modules").add_subparsers(required=True, metavar="COMMAND")
    drop_in = argparse.ArgumentParser(add_help=False)
    drop_in.add_argument("--drop-in", type=Path, metavar="DIR", help="a folder of further device modules")
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument("--json", action="store_true", help="print JSON")
    with_set = argparse.ArgumentParser(add_help=False)
    with_set.add_argument(
        "--set", action="append", default=[], dest="options", metavar="OPTION=VALUE", help="give the device an option"
    )
    listing = group.add_parser("list", parents=[common, drop_in, json], help="the kinds that can be configured here")
    listing.set_defaults(run=_handler("devices", "list_kinds"))
    show = group.add_parser("show", parents=[common, drop_in, json], help="a kind's options")
    show.set_defaults(run=_handler("devices", "show"))
    show.add_argument("kind", metavar="KIND")
    new = group.add_parser("new", parents=[common], help="begin a device module of your own, with a test that passes")
    new.set_defaults(run=_handler("device_new", "new"))
    new.add_argument("name", metavar="NAME", help="lower-case letters, digits and _: the kind, and the file's name")
    new.add_argument("--output", action="store_true", help="an output; otherwise a sensor")
    new.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="where to (default: here)")
    check = group.add_parser(
        "check", parents=[common, with_set, json], help="say everything that is wrong with a file, with its lines"
    )
    check.set_defaults(run=_handler("device_check", "check"))
    check.add_argument("file", type=Path, metavar="FILE", help="KIND.py")
    trial = group.add_parser(
        "try", parents=[common, drop_in, with_set, json], help="open a device on this machine: read it, or drive it"
    )
    trial.set_defaults(run=_handler("device_try", "try_kind"))
    trial.add_argument("kind", metavar="KIND")
    trial.add_argument("--seconds", type=seconds, default=5.0, metavar="S", help="for so long (default: 5)")
    trial.add_argument("--armed", action="store_true", help="let a motor move, at a fifth of its speed")


def _add_bench(commands: Commands, common: argparse.ArgumentParser) -> None:
    bench = commands.add_parser("bench", parents=[common], help="measure against a baseline; 1 when a target is missed")
    bench.add_argument("name", nargs="?", metavar="NAME", help="which one (default: list them)")
    bench.add_argument("--json", action="store_true", help="print one JSON object")
    bench.add_argument("--quick", action="store_true", help="little of it: whether it runs, not how fast it is")
    bench.set_defaults(run=_handler("bench", "measure"))


def _add_sim(commands: Commands, common: argparse.ArgumentParser) -> None:
    group = commands.add_parser("sim", help="a whole mesh in virtual time, with faults").add_subparsers(
        required=True, metavar="COMMAND"
    )
    run = group.add_parser("run", parents=[common], help="simulate a mesh; the same seed gives the same run")
    run.set_defaults(run=_handler("sim", "run"))
    run.add_argument(
        "scenario", nargs="?", metavar="SCENARIO", help="a scenario, its file, or home30 (default: walkers)"
    )
    run.add_argument("--seed", type=int, default=1, metavar="N", help="everything random is drawn from it (default: 1)")
    run.add_argument("--nodes", type=count, metavar="N", help="how many (default: the scenario's, or 10)")
    run.add_argument("--duration", type=seconds, default=60.0, metavar="S", help="virtual seconds (default: 60)")
    run.add_argument("--faults", metavar="NAME|FILE", help="what goes wrong (default: calm, or the scenario's own)")
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
        # What is imported stays: to look through it for garbage, now and later, would cost a fifth of the start.
        gc.disable()
        handler: Handler = getattr(import_module(f"becomingone.cli.{module}"), function)
        gc.freeze()
        gc.enable()
        return handler(arguments)

    return run
