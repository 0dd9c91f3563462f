"""What this machine has, and what is borrowed from it for a fault."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.broker.fabrics import mosquitto

from .outcome import NotRunError


def need_mosquitto() -> None:
    if mosquitto() is None:
        raise NotRunError("Mosquitto is not installed")


def need_root(why: str) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        raise NotRunError(f"needs root, {why}")


def need(program: str) -> None:
    if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        raise NotRunError(f"{program} is not installed")


def run(*words: str | Path) -> None:
    subprocess.run([*map(str, words)], check=True, capture_output=True)


class Tmpfs:
    """A file system of its own, of a given size, that can be made read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read_only(self, yes: bool) -> None:
        """A descriptor that is open for writing keeps the kernel from it; so a bind mount is what changes."""
        run("mount", "-o", f"remount,bind,{'ro' if yes else 'rw'}", self.folder)


@contextmanager
def tmpfs(folder: Path, size: str) -> Generator[Tmpfs, None, None]:
    """Mount one, or say why it cannot be."""
    need_root("to mount a file system")
    below = folder.with_name(f"{folder.name}-below")
    below.mkdir()
    folder.mkdir()
    mounted: list[Path] = []
    try:
        try:
            run("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", below)
            mounted.append(below)
            run("mount", "--bind", below, folder)
            mounted.append(folder)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotRunError(f"no file system can be mounted here: {error}") from error
        yield Tmpfs(folder)
    finally:
        for place in reversed(mounted):
            subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
