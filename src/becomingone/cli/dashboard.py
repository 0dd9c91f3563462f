"""``hub dashboard``: the file that Grafana imports."""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files

from becomingone.cli.exits import Exit


def print_dashboard(_arguments: argparse.Namespace) -> int:
    """Print it."""
    sys.stdout.write(files("becomingone.hub.web").joinpath("dashboard.json").read_text("utf-8"))
    return Exit.DONE
