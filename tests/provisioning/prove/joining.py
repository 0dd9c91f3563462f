"""Machines that become nodes with a token: a bare one, and one that was taken out of the cell."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
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
        url = f"https://{run.machines.network.address(200)}:{PORT}"
        began = time.monotonic()
        code, said = _join(run, NEW, release, token, url)
        told(join_s=f"{time.monotonic() - began:.1f}")
        require(code == 0, f"join ended with {code}: {said}")
        modes = run.machines.ssh(NEW, "sudo sh -c 'stat -c \"%a %U %n\" /etc/credstore/becomingone.*'")
        told(credentials=len(modes.splitlines()))
        require(all(line.startswith("600 root ") for line in modes.splitlines()), f"loose: {modes}")
        folder = run.cell.identity(NEW)
        require(not (folder / "tls.key").exists(), "the operator has the private key of a node that joined")
        run.machines.ssh(NEW, "for f in credstore becomingone; do sudo mv /etc/$f /etc/$f.joined; done")
        code, said = _join(run, NEW, release, token, url)
        told(again=said.splitlines()[-1][:160] if said else code)
        require(code == 1, f"the token was taken twice ({code}): {said}")
        back = "for f in credstore becomingone; do sudo rm -rf /etc/$f; sudo mv /etc/$f.joined /etc/$f; done"
        run.machines.ssh(NEW, back)
    with run.steps("Ansible finishes it, and it is ready with its own certificate") as told:
        since = time.monotonic()
        recap = run.cell.play("site.yml", "-e", f"becomingone_wheel={wheel}")
        run.observer.wait_for_ready([*NODES, NEW], 90)
        told(playbook_s=recap.seconds, **run.check_gaps(since))


def take_back(run: Run, wheel: Path, machine: str) -> None:
    """Let a machine in whose certificate is void, by the server of the hub's own machine, which it finds itself."""
    current, there = "/opt/becomingone/current", "/srv/becomingone-cell"
    with run.steps("the hub's machine gets an enrolment server, and the cell's folder") as told:
        words = ["--limit", "attic", "-e", f"becomingone_wheel={wheel}", "-e", "becomingone_join=true"]
        told(playbook_s=run.cell.play("site.yml", *words).seconds)
        folder = subprocess.run(
            ["tar", "-cC", run.cell.folder, "--exclude=./backups", "."], capture_output=True, check=True
        ).stdout
        command = (
            f"sudo tar -xC {there} && sudo chown -R becomingone-join: {there} && sudo systemctl start becomingone-join"
        )
        line = run.machines.as_operator(["ssh", "-F", run.machines.ssh_config, "attic", command])
        subprocess.run(line, input=folder, check=True, timeout=60)
    with run.steps(f"{machine} finds it on the network, and is let in again") as told:
        ask = f"cd / && sudo -u becomingone-join {current}/bin/python -P -m becomingone provision token {machine}"
        token = json.loads(run.machines.ssh("attic", f"{ask} --cell-dir {there} --json"))["token"]
        began = time.monotonic()
        code, said = _join(run, machine, current, token)
        told(join_s=f"{time.monotonic() - began:.1f}")
        require(code == 0, f"join ended with {code}: {said}")
        said = run.machines.ssh("attic", "sudo systemctl stop becomingone-join; systemctl is-active becomingone-hub")
        require(said == "active", f"the hub is {said}")


@contextlib.contextmanager
def _server(run: Run) -> Generator[None]:
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


def _join(run: Run, machine: str, release: str, token: str, url: str = "") -> tuple[int, str]:
    """Join; the token goes over standard input, and stands nowhere else. Without a URL the server is looked for."""
    where = f" --url {url}" if url else ""
    command = f"sudo {release}/bin/python -P -m becomingone provision join --token-file - --wait 30{where}"
    words = ["ssh", "-F", str(run.machines.ssh_config), "-o", "BatchMode=yes", machine, command]
    done = subprocess.run(words, input=f"{token}\n", capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, (done.stderr.strip() or done.stdout.strip())
