"""Other versions: a good one, two that must never stay, and the way back."""

from __future__ import annotations

import time

from tests.provisioning.machines import wait
from tests.provisioning.prove.run import NODES, Run
from tests.provisioning.prove.steps import require
from tests.provisioning.prove.wheels import variant


def upgrades(run: Run, wheel: str) -> None:
    """Bring versions out, and require that the mesh goes on."""
    base = next(run.wheels.glob(wheel))
    old = base.name.split("-")[1]
    good = variant(base, run.wheels, f"{old}.post1")
    with run.steps("upgrade to a good build") as told:
        since = time.monotonic()
        recap = run.cell.play("upgrade.yml", "-e", f"becomingone_wheel={good}")
        run.observer.wait_for_ready(NODES, 60)
        told(version=_of_all(run, f"{old}.post1"), playbook_s=recap.seconds, **run.check_gaps(since))
        for machine in run.machines.machines:
            run.check_services(machine)
    for number, fault in ((2, "ends at start"), (3, "never ready")):
        bad = variant(base, run.wheels, f"{old}.post{number}", fault)
        with run.steps(f"upgrade to a build that {'is ' * (number == 3)}{fault} comes back by itself") as told:
            since = time.monotonic()
            recap = run.cell.play("upgrade.yml", "-e", f"becomingone_wheel={bad}", check=False)
            told(playbook_s=recap.seconds, ended=recap.code)
            require(recap.code != 0, "the playbook calls a broken build an upgrade")
            run.observer.wait_for_ready(NODES, 60)
            told(version=_of_all(run, f"{old}.post1"), **run.check_gaps(since))
            for machine in run.machines.machines:
                run.check_services(machine, restarts=False)
            others = [host for host in ("kitchen", "porch") if _has_release(run, host, f"{old}.post{number}")]
            told(reached=" ".join(others) or "nobody")
            require(len(others) <= 1, "the broken build went beyond the canary")
    with run.steps("roll back to the release before") as told:
        since = time.monotonic()
        recap = run.cell.play("rollback.yml")
        run.observer.wait_for_ready(NODES, 60)
        told(version=_of_all(run, old), playbook_s=recap.seconds, **run.check_gaps(since))


def _of_all(run: Run, version: str) -> str:
    """Require that every machine has this version in force, and every node says that it runs it."""
    wait(lambda: set(run.versions().values()) == {version}, 30, f"version {version} on all nodes: {run.versions()}")
    for machine in run.machines.machines:
        link = run.machines.ssh(machine, "readlink -f /opt/becomingone/current")
        require(f"/releases/{version}-" in f"{link}-", f"{machine} has {link} in force, not {version}")
    return version


def _has_release(run: Run, machine: str, version: str) -> bool:
    return bool(run.machines.ssh(machine, f"ls -d /opt/becomingone/releases/{version}*", check=False))
