"""Files on a FAT file system, read and written without mounting it: with mtools, as any user.

mtools is in every distribution (``apt install mtools``) and writes long names; the file system is handed to it as an
open file, so that nothing with a name lies about when this process is killed.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from becomingone.errors import MissingLibraryError, ProvisioningError

_TIMEOUT_S: Final = 60.0
_LARGEST: Final = 64 << 20
_ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nonexistent",  # whoever has settings for mtools has them for other things
    "MTOOLS_SKIP_CHECK": "1",  # older versions refuse the geometry that image builders write
    "MTOOLS_NO_VFAT": "0",
}


class FatVolume:
    """A FAT file system in a file.

    Parameters
    ----------
    file : binary file
        Open for reading and writing, a file with a descriptor; the file system fills it.
    path : Path
        What to call it in messages.

    Raises
    ------
    ProvisioningError
        It is no FAT file system.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        head = os.pread(file.fileno(), 512, 0)
        if len(head) < 512 or head[510:512] != b"\x55\xaa" or int.from_bytes(head[11:13], "little") not in (512, 4096):
            raise ProvisioningError(f"{path}: its boot partition has no FAT file system")

    def names(self) -> list[str]:
        """Give the names in the root folder; FAT does not tell capitals from small letters."""
        listed = self._run(["mdir", "-b", "-a", "-i", self._image(), "::"]).decode("utf-8", "replace")
        return [line.removeprefix("::/").rstrip("/") for line in listed.splitlines() if line.startswith("::/")]

    def read(self, name: str) -> bytes:
        """Read a file whole.

        Raises
        ------
        ProvisioningError
            It is not there, or larger than 64 MiB.
        """
        content = self._run(["mcopy", "-n", "-i", self._image(), f"::{name}", "-"], what=name)
        if len(content) > _LARGEST:
            raise ProvisioningError(f"{self._path}: {name} is larger than {_LARGEST} bytes")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole, in place of one of the same name, and read it back.

        Raises
        ------
        ProvisioningError
            There is no room for it.
        """
        with tempfile.TemporaryFile() as source:
            source.write(content)
            source.flush()
            source.seek(0)
            command = ["mcopy", "-o", "-i", self._image(), f"/dev/fd/{source.fileno()}", f"::{name}"]
            self._run(command, what=name, inherited=(source.fileno(),))
        if self.read(name) != content:
            raise ProvisioningError(f"{self._path}: {name} does not read back as it was written; is there room?")

    def make_folder(self, name: str) -> None:
        """Make a folder, anew where there is one."""
        if name.lower() in (other.lower() for other in self.names()):
            self._run(["mdeltree", "-i", self._image(), f"::{name}"], what=name)
        self._run(["mmd", "-i", self._image(), f"::{name}"], what=name)

    def _image(self) -> str:
        return f"/dev/fd/{self._file.fileno()}"

    def _run(self, command: Sequence[str], *, what: str = "", inherited: tuple[int, ...] = ()) -> bytes:
        self._file.flush()
        try:
            done = subprocess.run(  # noqa: S603 - a fixed command, no shell
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(self._file.fileno(), *inherited),
                env=_ENVIRONMENT,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError:
            raise MissingLibraryError(f"{command[0]} is not installed: sudo apt install mtools") from None
        except subprocess.TimeoutExpired:
            raise ProvisioningError(f"{self._path}: {command[0]} took more than {_TIMEOUT_S:g} s") from None
        if done.returncode != 0:
            told = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = told[-1] if told else f"it ended with {done.returncode}"
            raise ProvisioningError(f"{self._path}: {what or 'its boot partition'}: {why}")
        return done.stdout
