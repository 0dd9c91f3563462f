"""A third machine, bare at first, that becomes a node with a token."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.provisioning.machines import wait
from tests.provisioning.prove.cell import PROJECT
from tests.provisioning.prove.run import NODES, Run
from tests.provisioning.prove.steps import require

NEW = "shed"
PORT = 8899


def join(run: Run, wheel: Path) -> None:
    """Add a machine to the inventory, and have it join."""
    release = f"/opt/becomingone/releases/{wheel.name.split('-')[1]}*"
    with run.steps("boot a third bare machine, and install the software there") as told:
        run.machines.add(NEW)
        run.cell.write_mesh([NEW])
        run.cell.become("provision", "render", "mesh.yaml")
        recap = run.cell.play("site.yml", "--limit", NEW, "--tags", "release", "-e", f"becomingone_wheel={wheel}")
        told(playbook_s=recap.seconds)
    with run.steps("it joins with a token, once") as told, _server(run):
        token = json.loads(run.cell.become("provision", "token", NEW, "--json"))["token"]
        began = time.monotonic()
        code, said = _join(run, release, token)
        told(join_s=f"{time.monotonic() - began:.1f}")
        require(code == 0, f"join ended with {code}: {said}")
        modes = run.machines.ssh(NEW, "sudo sh -c 'stat -c \"%a %U %n\" /etc/credstore/becomingone.*'")
        told(credentials=len(modes.splitlines()))
        require(all(line.startswith("600 root ") for line in modes.splitlines()), f"loose: {modes}")
        folder = run.cell.identity(NEW)
        require(not (folder / "tls.key").exists(), "the operator has the private key of a node that joined")
        run.machines.ssh(NEW, "for f in credstore becomingone; do sudo mv /etc/$f /etc/$f.joined; done")
        code, said = _join(run, release, token)
        told(again=said.splitlines()[-1][:160] if said else code)
        require(code == 1, f"the token was taken twice ({code}): {said}")
        back = "for f in credstore becomingone; do sudo rm -rf /etc/$f; sudo mv /etc/$f.joined /etc/$f; done"
        run.machines.ssh(NEW, back)
    with run.steps("Ansible finishes it, and it is ready with its own certificate") as told:
        since = time.monotonic()
        recap = run.cell.play("site.yml", "-e", f"becomingone_wheel={wheel}")
        run.observer.wait_for_ready([*NODES, NEW], 90)
        told(playbook_s=recap.seconds, **run.check_gaps(since))


@contextlib.contextmanager
def _server(run: Run) -> Iterator[None]:
    """The enrolment server, on the operator's machine."""
    address = run.machines.network.address(200)
    words = [sys.executable, "-m", "becomingone", "provision", "serve", "--listen", f"{address}:{PORT}", "--no-mdns"]
    line = run.machines.as_operator([*words, "--stop-with-stdin"])
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    log = run.cell.folder.parent / "logs/enrolment.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            line, cwd=run.cell.folder, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out
        )
    try:

        def listens() -> bool:
            require(process.poll() is None, f"the enrolment server ended: {log.read_text()[-300:]}")
            return "enrolment for" in log.read_text()

        wait(listens, 30, "the enrolment server")
        yield
    finally:
        process.kill()
        process.wait()


def _join(run: Run, release: str, token: str) -> tuple[int, str]:
    """Join; the token goes over standard input, and stands nowhere else."""
    url = f"https://{run.machines.network.address(200)}:{PORT}"
    command = f"sudo {release}/bin/python -P -m becomingone provision join --token-file - --url {url} --wait 30"
    words = ["ssh", "-F", str(run.machines.ssh_config), "-o", "BatchMode=yes", NEW, command]
    done = subprocess.run(words, input=f"{token}\n", capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, (done.stderr.strip() or done.stdout.strip())
