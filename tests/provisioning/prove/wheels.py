"""Builds of this project that differ in their version, and some of them in a deliberate fault."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

FAULTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "good": {},
    "ends at start": {
        "becomingone/node/agent.py": (
            "\n\nclass ",
            '\n\nraise SystemExit("this build is broken on purpose: it ends at its start")\n\n\nclass ',
        )
    },
    "never ready": {
        "becomingone/node/agent.py": ("self._presence.become(State.READY)", "self._presence.become(State.INIT)"),
        "becomingone/node/notify.py": ('"READY=1"', '"X_NOT_READY=1"'),
    },
}
"""Of each file the first occurrence of one text that is put in place of another."""


def variant(wheel: Path, folder: Path, version: str, fault: str = "good") -> Path:
    """Make another version of a wheel.

    Parameters
    ----------
    wheel : Path
        The one to start from.
    folder : Path
        Where the new one goes.
    version : str
        What it calls itself.
    fault : str
        Of `FAULTS`.

    Raises
    ------
    LookupError
        The place for the fault is no longer there.
    """
    name, old = wheel.name.split("-")[:2]
    target = folder / wheel.name.replace(f"-{old}-", f"-{version}-")
    faults = dict(FAULTS[fault])
    record = []
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in source.infolist():
            data = source.read(entry)
            path = entry.filename.replace(f"{name}-{old}.dist-info", f"{name}-{version}.dist-info")
            if path.endswith(".dist-info/RECORD"):
                continue
            if path == "becomingone/__init__.py":
                data = _replaced(data, f'__version__ = "{old}"', f'__version__ = "{version}"')
            if path.endswith(".dist-info/METADATA"):
                data = _replaced(data, f"Version: {old}", f"Version: {version}")
            if path in faults:
                data = _replaced(data, *faults.pop(path))
            new.writestr(path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}")
        path = f"{name}-{version}.dist-info/RECORD"
        new.writestr(path, "\n".join([*record, f"{path},,"]) + "\n")
    if faults:
        raise LookupError(f"{wheel.name} has no {', '.join(faults)}")
    return target


def _replaced(data: bytes, old: str, new: str) -> bytes:
    text = data.decode()
    if old not in text:
        raise LookupError(f"there is no {old!r} to break")
    return text.replace(old, new, 1).encode()
