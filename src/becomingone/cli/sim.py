"""``becomingone sim``: a whole mesh in virtual time, its trace, and the trace's replay."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from becomingone.broker.settings import BrokerSettings
from becomingone.cli.exits import Exit
from becomingone.cli.process import set_up_logging
from becomingone.cli.scenario import load_scenario
from becomingone.errors import ConfigError
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim import home as home30
from becomingone.sim.cells import foreseeable, grown, walkers
from becomingone.sim.plan import FaultPlan, load_plan, names, plan_file
from becomingone.sim.replay import Comparison
from becomingone.sim.run import Setting, simulate

NODES = 10
"""Nodes of a run that names neither a scenario nor a number."""


def run(arguments: argparse.Namespace) -> int:
    """Run a mesh in virtual time and say what came of it."""
    set_up_logging("DEBUG" if arguments.debug else "CRITICAL")  # that links break is what the run is about
    if arguments.scenario == home30.NAME:
        hub, nodes, faults = _home(arguments)
        exchanged: list[str] = []
    else:
        hub, nodes, exchanged = _cell(arguments)
        faults = load_plan("calm", environ={})
    if arguments.faults is not None:
        faults = load_plan(arguments.faults, environ=os.environ)
    setting = Setting(arguments.seed, arguments.duration, hub, nodes, faults, sealed=not arguments.unsealed)
    began, began_cpu = time.perf_counter(), time.process_time()
    try:
        file = arguments.trace.open("w", encoding="utf-8") if arguments.trace is not None else nullcontext()
    except OSError as error:
        msg = f"--trace {arguments.trace}: {error.strerror}"
        raise ConfigError(msg) from error
    with file as trace:
        came = simulate(setting, trace=trace, payloads=arguments.payloads, progress=_progress(arguments.duration))
    wall_s = time.perf_counter() - began
    report = {
        **came,
        "seed": arguments.seed,
        "faults": faults.title,
        "exchanged_devices": exchanged,
        "wall_s": round(wall_s, 3),
        "cpu_s": round(time.process_time() - began_cpu, 3),
        "node_seconds_per_s": round(len(nodes) * came["virtual_s"] / wall_s, 1),
    }
    sys.stdout.write((json.dumps(report) if arguments.json else "\n".join(_lines(report))) + "\n")
    return Exit.DONE


def replay(arguments: argparse.Namespace) -> int:
    """Run a trace's setting again; 0 when the same bytes come, 1 when not, naming the first line that differs."""
    set_up_logging("DEBUG" if arguments.debug else "CRITICAL")
    try:
        with arguments.trace.open("r", encoding="utf-8", newline="") as file:
            head = file.readline()
            try:
                setting = Setting.of(head)
            except ConfigError as error:
                msg = f"{arguments.trace}: {error}"
                raise ConfigError(msg) from error
            comparison = Comparison(head, file)
            came = simulate(
                setting, trace=comparison, payloads=comparison.payloads, progress=_progress(setting.duration_s)
            )
            comparison.finish()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{arguments.trace}: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(msg) from error
    report = {
        "simulation": True,
        "same": comparison.difference is None,
        "lines": comparison.lines,
        "digest": came["digest"],
        "difference": comparison.difference,
    }
    if arguments.json:
        sys.stdout.write(json.dumps(report) + "\n")
    elif comparison.difference is None:
        sys.stdout.write(f"the same {comparison.lines} lines again, digest {came['digest']}\n")
    else:
        sys.stdout.write(f"{comparison.difference}\n")
    return Exit.DONE if comparison.difference is None else Exit.FAILED


def faults(arguments: argparse.Namespace) -> int:
    """List the fault plans, or print one to begin a new one with."""
    if arguments.name is None:
        plans = [(name, load_plan(name, environ={}).title) for name in names()]
        sys.stdout.write("".join(f"{name:8} {title}\n" for name, title in plans))
    else:
        load_plan(arguments.name, environ={})
        sys.stdout.write(plan_file(arguments.name).read_text("utf-8"))
    return Exit.DONE


def _home(arguments: argparse.Namespace) -> tuple[HubConfig, list[NodeConfig], FaultPlan]:
    """Make the home of thirty nodes."""
    if arguments.overrides or arguments.nodes:
        msg = f"--set, --nodes: {home30.NAME} is made by formula, as it is; choose its --seed, --duration and --faults"
        raise ConfigError(msg)
    return home30.home(arguments.seed)


def _cell(arguments: argparse.Namespace) -> tuple[HubConfig, list[NodeConfig], list[str]]:
    """Make the hub's and the nodes' configurations, and say which devices were exchanged for tones."""
    if arguments.scenario is None:
        if arguments.overrides:
            msg = f"--set {arguments.overrides[0]}: there is a scenario's setting to override only where one is named"
            raise ConfigError(msg)
        return HubConfig.model_validate({}), walkers(arguments.nodes or NODES, seed=arguments.seed), []
    scenario = load_scenario(arguments.scenario, overrides=arguments.overrides, environ=os.environ)
    nowhere = Path("/nonexistent")  # nothing is kept between two runs in virtual time
    configs = scenario.node_configs(BrokerSettings(), nowhere)
    made: list[NodeConfig] = []
    exchanged: list[str] = []
    for config in grown(configs, arguments.nodes or len(configs)):
        node, what = foreseeable(config, seed=arguments.seed)
        made.append(node)
        exchanged += what
    return scenario.hub_config(BrokerSettings(), nowhere), made, exchanged


def _progress(duration_s: float) -> Any:  # noqa: ANN401
    def nothing(_virtual_s: float) -> None:
        pass

    def show(virtual_s: float) -> None:
        end = "\n" if virtual_s >= duration_s else ""
        sys.stderr.write(f"\rsimulated {virtual_s:.0f} of {duration_s:g} s{end}")
        sys.stderr.flush()

    return show if sys.stderr.isatty() else nothing


def _lines(report: dict[str, Any]) -> Sequence[str]:
    """Say it for people."""

    def reasons(name: str) -> str:
        return ", ".join(f"{count} {reason}" for reason, count in report[name].items())

    lines = [
        f"a simulation in virtual time, seed {report['seed']}: {report['faults']}",
        f"  nodes      {report['nodes']} of {report['nodes_configured']} ready",
        f"  frames     {report['frames']} taken by the hub; {report['dropped']} dropped, {report['refused']} refused",
        f"  dropped    {reasons('dropped_reasons') or 'none'}",
        f"  refused    {reasons('refused_reasons') or 'none'}",
        f"  connects   {report['connects']} in {report['attempts']} attempts",
        f"  coherence  {report['coherence']}, order {report['order']}, locking {report['locking']}",
        f"  processor  {report['cpu_s']:g} s",
        f"  digest     {report['digest']}, of the memory {report['memory']}",
        f"  time       {report['virtual_s']:g} s in {report['wall_s']:g} s, {report['node_seconds_per_s']:g} node s/s",
    ]
    if report["exchanged_devices"]:
        lines.insert(1, f"  tones for  {', '.join(report['exchanged_devices'])}")
    return lines
