"""Whom the cell lets in: a revoked node, one with a new certificate, one that is taken out of service."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from tests.provisioning.machines import wait
from tests.provisioning.prove.run import Run
from tests.provisioning.prove.steps import require


def copied(run: Run, name: str) -> Path:
    """Copy a member's key and certificate, as a thief would."""
    folder = run.cell.folder.parent / f"copy-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run.cell.identity(name), folder)
    return folder


def publishes(run: Run, folder: Path, topic: str) -> bool:
    """Whether the broker takes a new connection with a key and certificate, from outside the machines."""
    line = ["mosquitto_pub", "-h", "attic.local", "-p", "8883", "--cafile", run.cell.folder / "secrets/ca.crt"]
    line += ["--cert", folder / "tls.crt", "--key", folder / "tls.key", "-t", topic, "-m", "x", "-q", "1"]
    done = subprocess.run(run.machines.as_operator(line), capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def revoke(run: Run) -> None:
    """Revoke porch, and let it in again with another certificate."""
    health = f"{run.cell.name}/node/porch/health"
    with run.steps("a revoked node is refused, and the other's connection goes on") as told:
        porch, door = copied(run, "porch"), copied(run, "observer.door")
        require(publishes(run, door, f"{run.cell.name}/nothing"), "the observer is refused to begin with")
        kitchen = run.connection("kitchen")
        broker = run.services("attic")["becomingone-broker.service"]["MainPID"]
        since = time.monotonic()
        run.cell.become("provision", "revoke", "porch", "observer:door", "--reason", "key-compromise")
        recap = run.cell.play("site.yml", "--tags", "broker")
        told(playbook_s=recap.seconds)
        require(not publishes(run, door, f"{run.cell.name}/nothing"), "a revoked observer is let in")
        told(session_kept=run.observer.latest("node/porch/state"))
        run.machines.ssh("porch", "sudo systemctl restart --no-block becomingone-porch")
        wait(lambda: run.observer.latest("node/porch/state") in ("lost", "disconnected"), 60, "porch to be gone")
        began = time.monotonic()
        wait(lambda: "porch" in _told_why(run), 30, "porch's log to say that it is refused")
        told(refused_s=f"{time.monotonic() - began:.1f}", says=_told_why(run)[-120:].replace("\n", " "))
        require(not publishes(run, porch, health), "the revoked certificate is taken from another machine")
        require(run.observer.latest("node/porch/state") != "ready", "porch is ready all the same")
        require(run.connection("kitchen") == kitchen, "kitchen had to connect anew")
        require(run.services("attic")["becomingone-broker.service"]["MainPID"] == broker, "the broker was started anew")
        run.observer.wait_for_ready(["kitchen"], 20)
        told(**run.check_gaps(since))
    with run.steps("with a new certificate it is let in again") as told:
        run.cell.become("provision", "node", "porch")
        recap = run.cell.play("site.yml", "--limit", "porch")
        told(playbook_s=recap.seconds)
        run.observer.wait_for_ready(["kitchen", "porch"], 60)
        require(run.connection("kitchen") == kitchen, "kitchen had to connect anew")


def _told_why(run: Run) -> str:
    """What porch's service says of its link, once it says that it is refused."""
    status = run.services("porch")["becomingone-porch.service"]["StatusText"]
    return f"porch: {status}" if "revoked" in status or "refuse" in status or "out of reach" in status else ""


def decommission(run: Run) -> None:
    """Take porch out of service for good."""
    with run.steps("decommission porch") as told:
        kitchen = run.connection("kitchen")
        porch = copied(run, "porch")
        since = time.monotonic()
        recap = run.cell.play("decommission.yml", "-e", "becomingone_gone=porch", "-e", "becomingone_operator=anna")
        told(playbook_s=recap.seconds)
        places = "/etc/credstore /etc/becomingone/node.yaml /etc/becomingone/tls/node.crt /var/lib/private/becomingone"
        left = run.machines.ssh("porch", f"sudo find {places} -type f 2>/dev/null", check=False)
        require(not left, f"left behind: {left.splitlines()[:5]}")
        require(not run.machines.ssh("porch", "pgrep -f becomingone", check=False), "something of ours still runs")
        require(not publishes(run, porch, f"{run.cell.name}/node/porch/health"), "its certificate is still taken")
        listed = run.cell.become("provision", "list", "--all", "--json")
        require("revoked" in listed, "no certificate is listed as revoked")
        require(run.connection("kitchen") == kitchen, "kitchen had to connect anew")
        told(**run.check_gaps(since))
