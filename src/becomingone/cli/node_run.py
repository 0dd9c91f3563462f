"""``node run``: a node as a process, under a supervisor or not."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager

from becomingone.cli import process
from becomingone.cli.exits import Exit
from becomingone.cli.node_life import STOP_S, NodeLife
from becomingone.cli.node_start import NodeStart
from becomingone.errors import BecomingOneError
from becomingone.node.log_ring import Log
from becomingone.node.notify import Notifier

START_S = 60.0
"""Seconds that reading the configuration may take before a supervisor gives the start up."""


class _ToldToStop(BaseException):
    """SIGTERM before there is anything to be stopped in an orderly way; no device module can swallow it."""


def run_node(arguments: argparse.Namespace) -> int:
    """Run a node until it is told to stop."""
    faulthandler.enable()  # when the watchdog strikes (SIGABRT), the journal shows where every thread was
    log = Log(sys.stderr, os.environ)
    notifier = Notifier(os.environ)
    notifier.extend(START_S)
    notifier.status("reading the configuration")
    start = NodeStart(
        arguments.config, overrides=arguments.overrides, environ=os.environ, log=log, debug=arguments.debug
    )
    end = asyncio.Event()
    try:
        with _stoppable():
            loaded, starts, boot = start.begin()
            code = process.run(
                lambda loop: NodeLife(loop, start, loaded, starts, boot, notifier=notifier, log=log, end=end),
                stop_with_stdin=arguments.stop_with_stdin,
                stop_timeout_s=STOP_S,
                end=end,
            )
    except _ToldToStop:
        code = Exit.DONE
    except Exception as error:
        start.failing(str(error) if isinstance(error, BecomingOneError) else f"{type(error).__name__}: {error}")
        raise
    if code == Exit.DONE:
        start.ended_well()
    else:
        start.failing("faults of its own; see the log")
    if end.is_set() and not _supervised(arguments):
        _become_anew()
    return code


@contextmanager
def _stoppable() -> Generator[None, None, None]:
    """Let SIGTERM end what has not become a part yet; a part has its own handler."""

    def told(_number: int, _frame: object) -> None:
        raise _ToldToStop

    before = signal.signal(signal.SIGTERM, told)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _supervised(arguments: argparse.Namespace) -> bool:
    """Whether somebody starts this node again when it ends: systemd (systemd.exec(5)), or `becomingone up`."""
    return bool(arguments.stop_with_stdin) or os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


def _become_anew() -> None:
    """Become the next life of this node: in a terminal or a container an end might be for good.

    Where there is a supervisor an end is better: it makes a clean process, paces the starts and counts them.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program with its arguments
