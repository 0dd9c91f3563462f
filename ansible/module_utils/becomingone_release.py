"""Puts another release of the software into force on this machine, and the one before back where that does not work.

Standard library only: it runs under the system's Python of a node.
"""

from __future__ import annotations

import hashlib
import http
import http.client
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

POLL_S = 0.2
_SHOWN = ("ActiveState", "SubState", "StatusText", "NRestarts", "InvocationID", "Result")
_AT_WORK = re.compile(r"connected; (\d+) of \d+ devices at work")


class SwitchError(Exception):
    """What keeps a release from being put into force; nothing has been changed."""


class Host:
    """What a machine can be asked and told."""

    def systemctl(self, *words: str) -> str:
        """Run systemctl and give what it printed; an empty text where it failed."""
        done = subprocess.run(  # noqa: S603
            ["systemctl", *words],  # noqa: S607 - wherever it is
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout if done.returncode == 0 else ""

    def show(self, unit: str) -> dict[str, str]:
        """Give the properties of a service."""
        told = self.systemctl("show", unit, "-p", ",".join(_SHOWN))
        return dict(line.split("=", 1) for line in told.splitlines() if "=" in line)

    def healthy(self, url: str) -> bool:
        """Tell whether a page answers with 200."""
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - of the inventory
                return bool(answer.status == http.HTTPStatus.OK)
        except (OSError, urllib.error.URLError, http.client.HTTPException):
            return False

    def listens(self, port: int) -> bool:
        """Tell whether a port of this machine takes connections."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                return True
        except OSError:
            return False

    def reload(self, unit: str) -> bool:
        """Have a service read its files anew; tell whether it took that."""
        done = subprocess.run(["systemctl", "reload", unit], capture_output=True, timeout=120, check=False)  # noqa: S603, S607
        return done.returncode == 0

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wait(self) -> None:
        """Let a moment pass before looking again."""
        time.sleep(POLL_S)


class Release:
    """The releases of a machine.

    Parameters
    ----------
    root : Path
        Holds ``releases/<name>`` and the links ``current`` and ``previous``.
    units : Path
        Where systemd looks for units.
    host : Host
        The machine.
    """

    def __init__(self, root: str | Path, units: str | Path, host: Host) -> None:
        self._root = Path(root)
        self.marks = self._root / "started"
        self._units = Path(units)
        self._host = host

    def named(self, link: str) -> str | None:
        """Give the release that a link names; None: there is none."""
        path = self._root / link
        return path.readlink().name if path.is_symlink() else None

    def would_change(self, release: str) -> list[str]:
        """Tell what `put` would change: the link, or units by their names."""
        differing = [unit.name for unit in self._units_of(release) if not self._same(unit)]
        return [*(["current"] if self.named("current") != release else []), *differing]

    def put(self, release: str) -> list[str]:
        """Make it the current one: its units, then the link. Gives what has changed.

        Raises
        ------
        SwitchError
            There is no such release, or it was not installed to its end.
        """
        if not (self._root / "releases" / release / "complete").exists():
            msg = f"{self._root / 'releases' / release} is no release, or was not installed to its end"
            raise SwitchError(msg)
        changed = self.would_change(release)
        for unit in self._units_of(release):
            if not self._same(unit):
                fresh = self._units / f".{unit.name}.fresh"
                shutil.copyfile(unit, fresh)
                fresh.chmod(0o644)
                fresh.replace(self._units / unit.name)
        self._link("current", release)
        if changed:
            self._host.systemctl("daemon-reload")
        return changed

    def remember(self, previous: str | None) -> None:
        """Note which release was in force before; None: none was."""
        if previous is not None:
            self._link("previous", previous)
        else:
            (self._root / "previous").unlink(missing_ok=True)

    def _units_of(self, release: str) -> list[Path]:
        return sorted((self._root / "releases" / release / "units").glob("becomingone-*"))

    def _same(self, unit: Path) -> bool:
        there = self._units / unit.name
        return there.is_file() and there.read_bytes() == unit.read_bytes()

    def _link(self, name: str, release: str) -> None:
        if self.named(name) == release:
            return
        fresh = self._root / f".{name}.fresh"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("releases") / release)
        fresh.replace(self._root / name)


class Service:
    """A service that is started anew and watched until it is ready.

    Parameters
    ----------
    wanted : dict
        ``name`` of the unit; ``ready``: ``status`` (it says that it is connected), ``http`` (`url` answers with 200),
        ``port`` (`port` takes connections) or ``active``; ``deadline_s``; ``files``: what it reads when it starts;
        ``reread``: what it reads on a reload.
    marks : Path
        Folder that holds, by service, what it has read.
    host : Host
        The machine.
    """

    def __init__(self, wanted: dict[str, Any], marks: Path, host: Host) -> None:
        self.name = wanted["name"]
        self._wanted = wanted
        self._mark = marks / self.name
        self._host = host
        before = host.show(self.name)
        self._at_work = at_work(before.get("StatusText", ""))

    def due(self) -> str | None:
        """Tell what it takes to be at work with the files that there are: ``restart``, ``reload`` or nothing.

        An earlier run may have ended before it, and somebody may have stopped the service.
        """
        if self._host.show(self.name).get("ActiveState") in ("inactive", "failed"):
            return "restart"
        read = self._mark.read_text("ascii").split() if self._mark.exists() else []
        started, reread = self._digests()
        if read[:1] != [started]:
            return "restart"
        return "reload" if read[1:] != [reread] else None

    def reload(self) -> str | None:
        """Have it read its files anew; why it did not, None: it did."""
        if not self._host.reload(self.name):
            return f"{self.name} cannot be reloaded"
        self._note()
        return None

    def _note(self) -> None:
        self._mark.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = self._mark.with_suffix(".fresh")
        fresh.write_text("\n".join(self._digests()), "ascii")
        fresh.replace(self._mark)

    def _digests(self) -> list[str]:
        return [_digest(self._wanted.get(kind) or ()) for kind in ("files", "reread")]

    def restart(self, settle_s: float) -> str | None:
        """Start it anew and wait. Gives why it is not ready; None: it is, and has stayed so for `settle_s`."""
        self._mark.unlink(missing_ok=True)
        life = self._host.show(self.name).get("InvocationID", "")
        self._host.systemctl("reset-failed", self.name)
        self._host.systemctl("restart", "--no-block", self.name)
        end = self._host.monotonic() + self._wanted["deadline_s"]
        since = None
        while True:
            shown = self._host.show(self.name)
            new = shown.get("InvocationID", "") not in ("", life)
            if new and self._ended(shown):
                return f"{self.name} has ended at its start ({shown.get('Result', 'no result')})"
            missing = "it has not been started" if not new else self._missing(shown)
            now = self._host.monotonic()
            since = None if missing else (now if since is None else since)
            if since is not None and now - since >= settle_s:
                self._note()
                return None
            if now >= end and since is None:
                return f"{self.name} was not ready within {self._wanted['deadline_s']:g} s: {missing}"
            self._host.wait()

    def _ended(self, shown: dict[str, str]) -> bool:
        return (
            shown.get("SubState") == "auto-restart"
            or shown.get("ActiveState") == "failed"
            or int(shown.get("NRestarts") or 0) > 0
        )

    def _missing(self, shown: dict[str, str]) -> str | None:
        if (shown.get("ActiveState"), shown.get("SubState")) != ("active", "running"):
            return f"{shown.get('ActiveState')}, {shown.get('SubState')}; {shown.get('StatusText') or 'no status'}"
        match self._wanted["ready"]:
            case "status":
                working = at_work(shown.get("StatusText", ""))
                fits = working is not None and working >= (self._at_work or 0)
                return None if fits else shown.get("StatusText") or "no status"
            case "http":
                url = self._wanted["url"]
                return None if self._host.healthy(url) else f"{url} does not answer with 200"
            case "port":
                port = self._wanted["port"]
                return None if self._host.listens(port) else f"port {port} takes no connections"
            case _:
                return None


def _digest(paths: Iterable[str]) -> str:
    """Sum up files, and folders with all that is in them; what is missing counts as such."""
    found = hashlib.sha256()
    for name in paths:
        top = Path(name)
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if not path.is_dir() and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "missing"
                found.update(f"{path} {content}\n".encode())
    return found.hexdigest()


def at_work(status: str) -> int | None:
    """Read from a node's status how many devices are at work; None: it is not connected, or says something else."""
    found = _AT_WORK.match(status)
    return int(found[1]) if found else None


def switch(
    release: str, wanted: list[dict[str, Any]], releases: Release, host: Host, *, settle_s: float
) -> dict[str, Any]:
    """Put a release into force; where a service then is not ready, put the one before back.

    Parameters
    ----------
    release : str
        Its name.
    wanted : list of dict
        The services, in the order in which they are started anew; see `Service`.
    releases : Release
        Those of this machine.
    host : Host
        The machine.
    settle_s : float
        Seconds for which each must stay ready.

    Returns
    -------
    dict
        ``changed``: of what; ``previous``: the release before; ``why``: of the failure, None where all is well;
        ``back``: whether the one before is in force again and ready, None where there was nothing to put back.

    Raises
    ------
    SwitchError
        There is no such release; nothing has been changed.
    """
    services = [Service(one, releases.marks, host) for one in wanted]
    previous, earlier = releases.named("current"), releases.named("previous")
    changed = releases.put(release)
    told = {"changed": changed, "previous": previous, "why": None, "back": None, "back_why": None}
    if not changed:
        due = [(one, one.due()) for one in services]
        told["changed"] = [one.name for one, what in due if what]
        told["why"] = next((why for one, what in due if (why := _do(one, what, settle_s)) is not None), None)
        return told
    other = previous not in (None, release)
    if other:
        releases.remember(previous)  # now, so that a power cut in the middle leaves a way back
    told["why"] = _start(services, settle_s)
    if told["why"] is not None and other:
        releases.put(previous)
        releases.remember(earlier)
        told["back_why"] = _start(services, settle_s)
        told["back"] = told["back_why"] is None
    return told


def _do(service: Service, what: str | None, settle_s: float) -> str | None:
    """Start it anew, or reload it; why that did not work."""
    if what is None:
        return None
    return service.restart(settle_s) if what == "restart" else service.reload()


def _start(services: list[Service], settle_s: float) -> str | None:
    """Start them anew, one after the other; why the first that is not ready is not."""
    return next((why for why in (one.restart(settle_s) for one in services) if why is not None), None)
