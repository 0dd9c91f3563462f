"""From bare machines to a cell that is ready, and stays as it is when told the same again."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.provisioning.machines import Machines, wait
from tests.provisioning.prove.cell import PROJECT, Cell
from tests.provisioning.prove.run import NODES, Run
from tests.provisioning.prove.steps import Steps, require

_STATE_OF = (
    "dpkg-query -W; for folder in /etc /opt /usr/local /var/lib/becomingone; do "
    "sudo find $folder -printf '%p %y %m %u %s %T@\\n' 2>/dev/null; done | sort"
)


def build(steps: Steps, folder: Path) -> Path:
    """Build the wheel, from a copy without what earlier builds have left."""
    with steps("build the wheel", vital=True) as told, tempfile.TemporaryDirectory() as copy:
        source = Path(copy, "source")
        shutil.copytree(PROJECT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "dist", "tests"))
        words = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", folder, source]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        require(done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:])
        wheel = next(folder.glob("*.whl"))
        told(wheel=wheel.name, kib=wheel.stat().st_size // 1024)
    return wheel


def write_cell(steps: Steps, cell: Cell, mesh: str) -> None:
    """Make the cell folder with the project's own commands."""
    with steps("make the cell's authority, its members and its configuration", vital=True) as told:
        cell.write(mesh)
        cell.become("provision", "ca", "--cell", "proof")
        cell.become("provision", "node", "--all")
        cell.become("provision", "check", "mesh.yaml")
        cell.become("provision", "render", "mesh.yaml")
        told(identities=" ".join(sorted(path.name for path in (cell.folder / "secrets/identities").iterdir())))
        loose = [str(path) for path in (cell.folder / "secrets").rglob("*.key") if path.stat().st_mode & 0o077]
        require(not loose, f"others may read {loose}")


def looked_at(run_steps: Steps, cell: Cell, machines: Machines, wheel: Path) -> None:
    """Ask site.yml what it would do on bare machines: it says so, and does none of it."""
    with run_steps("site.yml --check tells what it would do on bare machines") as told:
        before = {name: machines.ssh(name, _STATE_OF) for name in machines.machines}
        recap = cell.play(
            "site.yml", "--check", "--diff", "-e", f"becomingone_wheel={os.path.relpath(wheel, cell.folder)}"
        )
        told(changed=recap.total("changed"), ok=recap.total("ok"))
        require(recap.total("changed") > 0, "it would do nothing")
        for name, state in before.items():
            require(machines.ssh(name, _STATE_OF) == state, f"{name} is another than before")


def from_bare(run_steps: Steps, cell: Cell, wheel: Path) -> None:
    """Run site.yml on the bare machines."""
    with run_steps("site.yml, from bare machines", vital=True) as told:
        recap = cell.play("site.yml", "-e", f"becomingone_wheel={os.path.relpath(wheel, cell.folder)}")
        told(changed=recap.total("changed"), ok=recap.total("ok"))
        require(set(recap.hosts) == {"attic", *NODES}, f"the inventory has {sorted(recap.hosts)}")


def well(run: Run) -> None:
    """Require that all is well."""
    with run.steps("both nodes are ready over mutual TLS, and coherent", vital=True) as told:
        run.observer.wait_for_ready(NODES, 120)
        told(coherence=f"{run.observer.coherence_now():.3f}")
    with run.steps("a stranger without a certificate is refused"):
        for words in ([], ["--cert", str(_stranger(run.cell)), "--key", str(_stranger_key(run.cell))]):
            require(_handshake(run, words) != 0, f"the broker let somebody in with {words or 'no certificate'}")
        require(_handshake(run, _member(run.cell, "observer.door")) == 0, "a member is refused, too")
    with run.steps("every service is active and was never started anew"):
        for machine in run.machines.machines:
            run.check_services(machine)


def watched(run: Run, machine: str) -> None:
    """Require that Prometheus has the hub's figures, and that the dashboard waits to be taken."""
    with run.steps("Prometheus asks the hub") as told:

        def figure(query: str) -> str:
            code = (
                "import json, sys, urllib.parse, urllib.request\n"
                "address = 'http://127.0.0.1:9090/api/v1/query?query=' + urllib.parse.quote(sys.argv[1])\n"
                "found = json.load(urllib.request.urlopen(address, timeout=10))['data']['result']\n"
                "print(found[0]['value'][1] if found else '')"
            )
            return run.machines.ssh(machine, f"python3 -c {shlex.quote(code)} {shlex.quote(query)}", check=False)

        wait(lambda: figure('up{job="becomingone"}') == "1", 60, "Prometheus to reach the hub", every=1)
        coherence = figure('becomingone_band_coherence{band="stride"}')
        told(coherence=coherence)
        require(0 < float(coherence) <= 1, f"it has {coherence!r} for the coherence")
        dashboard = json.loads(run.machines.ssh(machine, "cat /etc/becomingone/dashboards/becomingone.json"))
        asked = {panel["title"] for panel in dashboard["panels"]}
        require(asked, "the dashboard has no panels")


def again(run: Run, wheel: Path) -> None:
    """Require that a second run finds nothing to do."""
    with run.steps("site.yml again changes nothing") as told:
        pids = {name: run.services(name) for name in run.machines.machines}
        recap = run.cell.play("site.yml", "-e", f"becomingone_wheel={wheel}")
        told(changed=recap.total("changed"), ok=recap.total("ok"))
        require(recap.total("changed") == 0, f"{recap.total('changed')} changed: {recap.log}")
        for name, before in pids.items():
            after = run.services(name)
            moved = [unit for unit in before if before[unit]["MainPID"] != after.get(unit, {}).get("MainPID")]
            require(not moved, f"{name}: {moved} started anew")
        run.observer.wait_for_ready(NODES, 30)
    with run.steps("site.yml --check changes nothing, too") as told:
        recap = run.cell.play("site.yml", "--check", "--diff", "-e", f"becomingone_wheel={wheel}")
        told(changed=recap.total("changed"))
        require(recap.total("changed") == 0, f"{recap.total('changed')} would change: {recap.log}")


def _member(cell: Cell, name: str) -> list[str]:
    folder = cell.identity(name)
    return ["--cert", str(folder / "tls.crt"), "--key", str(folder / "tls.key")]


def _stranger(cell: Cell) -> Path:
    """A certificate in the operator's name, by somebody else."""
    folder = cell.folder.parent
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-subj", "/CN=operator:anna", "-days", "1", "-keyout", str(_stranger_key(cell))]
    words += ["-out", str(folder / "stranger.crt")]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "stranger.crt"


def _stranger_key(cell: Cell) -> Path:
    return cell.folder.parent / "stranger.key"


def _handshake(run: Run, words: list[str]) -> int:
    """Publish something as whoever these say; 0: the broker took it."""
    line = ["mosquitto_pub", "-h", "attic.local", "-p", "8883", "--cafile", str(run.cell.folder / "secrets/ca.crt")]
    line += ["-t", f"{run.cell.name}/request/kitchen/cmd/nothing", "-m", "x", "-q", "1", *words]
    done = subprocess.run(run.machines.as_operator(line), capture_output=True, timeout=30, check=False)
    return done.returncode
