"""Which Mosquitto is installed, and what it can do."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from becomingone.errors import LinkError, MissingLibraryError

LEAST: Final = (2, 0, 0)
"""Before 2.0 a listener was open to everybody unless told otherwise, and ``max_keepalive`` was not there."""

_TIMEOUT_S: Final = 10.0
_SQLITE: Final = "mosquitto_persist_sqlite.so"
_ELSEWHERE: Final = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")
"""Debian puts it where ordinary users do not look."""


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """An installed Mosquitto.

    Parameters
    ----------
    program : Path
        The executable.
    version : tuple of int
        Major, minor, patch.
    sqlite : Path or None
        Its plugin ``persist-sqlite``, which 2.1 brought, where it is installed.
    """

    program: Path
    version: tuple[int, int, int]
    sqlite: Path | None = None

    @property
    def is_2_1(self) -> bool:
        """Whether it has what came with 2.1: ``--test-config``, ``listener_allow_anonymous``, persist-sqlite."""
        return self.version >= (2, 1, 0)

    @property
    def name(self) -> str:
        """Its name and version."""
        return f"Mosquitto {'.'.join(map(str, self.version))}"


def find(wanted: Path | None = None) -> Mosquitto:
    """Find Mosquitto and ask it for its version.

    Parameters
    ----------
    wanted : Path or None
        The executable; None looks on the path, then where the systems' packages put it.

    Raises
    ------
    MissingLibraryError
        It is not installed.
    LinkError
        It cannot be run, or is too old.
    """
    program = wanted or _look()
    if program is None or not program.is_file():
        where = f" at {program}" if program is not None else ""
        msg = f"Mosquitto is not installed{where}: sudo apt install mosquitto"
        raise MissingLibraryError(msg)
    try:
        # 2.0 knows no --version; -h tells it everywhere, with exit code 3 on 2.0 and 0 on 2.1
        asked = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LinkError(f"{program} cannot be run: {error}") from error
    version = parse_version(asked.stdout)
    if version is None:
        raise LinkError(f"{program} does not say its version, as Mosquitto does with -h")
    if version < LEAST:
        found, least = (".".join(map(str, number)) for number in (version, LEAST))
        raise LinkError(f"{program} is Mosquitto {found}, and {least} is needed: sudo apt install mosquitto")
    return Mosquitto(program, version, _plugin(program) if version >= (2, 1, 0) else None)


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Read the version from what ``mosquitto -h`` prints; None where there is none."""
    found = re.search(r"^mosquitto version (\d{1,4})\.(\d{1,4})\.(\d{1,4})\b", text, re.MULTILINE)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _look() -> Path | None:
    on_path = shutil.which("mosquitto")
    return Path(on_path) if on_path else next((Path(path) for path in _ELSEWHERE if Path(path).is_file()), None)


def _plugin(program: Path) -> Path | None:
    """Find persist-sqlite below the prefix that the program is installed under."""
    prefix = program.resolve().parent.parent
    for pattern in (f"lib/*/mosquitto/{_SQLITE}", f"lib*/mosquitto/{_SQLITE}", f"lib/*/{_SQLITE}", f"lib*/{_SQLITE}"):
        for found in sorted(prefix.glob(pattern)):
            return found
    return None
