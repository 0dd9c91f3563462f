"""Fixtures for the tests of devices: `clock`, `broker` and `mesh`, all in one virtual time.

pytest loads this module in every run on a machine where the package is installed, so it imports nothing of ours until
a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from becomingone.sim.broker import SimBroker
    from becomingone.sim.clock import VirtualScheduler
    from becomingone.sim.mesh import Mesh
    from becomingone.sim.plan import FaultPlan

MARKER = "becomingone"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, so that ``--strict-markers`` takes it."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(seed=1, faults=None): what the fixture mesh draws from, and what goes wrong in it: the name or file "
        "of a fault plan, or a mapping",
    )


@pytest.fixture
def _becomingone_mesh(request: pytest.FixtureRequest) -> Iterator[Mesh]:
    """Make the mesh behind the three fixtures; of this name nobody has one of their own."""
    from becomingone.sim.mesh import Mesh  # noqa: PLC0415 - see the module's docstring

    seed, faults = _asked(request.node.get_closest_marker(MARKER))
    made = Mesh(seed, faults=faults)
    yield made
    made.close()


@pytest.fixture
def clock(_becomingone_mesh: Mesh) -> VirtualScheduler:
    """Virtual time: ``clock.run_for(1.0)`` lets a second pass, ``monotonic_ns()`` and ``time_us()`` tell it."""
    return _becomingone_mesh.scheduler


@pytest.fixture
def broker(_becomingone_mesh: Mesh) -> SimBroker:
    """Give the simulated MQTT broker of the mesh: what is ``retained``, the ``trace``, ``crash`` and ``restart``."""
    return _becomingone_mesh.broker


@pytest.fixture
def mesh(_becomingone_mesh: Mesh) -> Mesh:
    """Give a mesh with a hub: ``add_node``, ``run_device``, ``run_for``, ``figures``."""
    return _becomingone_mesh


def _asked(mark: pytest.Mark | None) -> tuple[int, FaultPlan | None]:
    """Read the marker."""
    wanted: dict[str, Any] = {"seed": 1, "faults": None}
    if mark is not None:
        unknown = sorted(set(mark.kwargs) - set(wanted))
        if mark.args or unknown:
            what = f"not {', '.join(unknown)}" if unknown else "by name"
            msg = f"the marker {MARKER} takes seed and faults, {what}"
            raise pytest.UsageError(msg)
        wanted.update(mark.kwargs)
    return wanted["seed"], _plan(wanted["faults"])


def _plan(faults: object) -> FaultPlan | None:
    from becomingone.sim.plan import FaultPlan, load_plan  # noqa: PLC0415 - see the module's docstring

    if faults is None or isinstance(faults, FaultPlan):
        return faults
    if isinstance(faults, str | Path):
        return load_plan(str(faults), environ={})
    return FaultPlan.model_validate(faults)
