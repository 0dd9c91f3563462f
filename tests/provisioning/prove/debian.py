"""Root file systems of Debian, made and removed so that nothing of this machine can be reached through them."""

from __future__ import annotations

import subprocess
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"


def bootstrap(root: Path, suite: str, packages: str, *, architecture: str = "", seconds: float = 1800) -> None:
    """Make a root with mmdebstrap.

    mmdebstrap mounts this machine's ``/dev/shm`` and others into the root, and leaves them there when it is killed. So
    it gets mounts and processes of its own, which end with it however it ends.

    Raises
    ------
    subprocess.CalledProcessError
        It failed.
    """
    words = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    words += ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}"]
    words += [f"--architectures={architecture}"] if architecture else []
    # One source only: what changes daily is not what is asked about.
    words += [suite, str(root), f"deb {MIRROR} {suite} main"]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=seconds)


def mounted(folder: Path) -> list[str]:
    """What is mounted at or below a folder (proc_pid_mountinfo(5))."""
    top = str(folder.resolve())
    places = (line.split()[4].replace("\\040", " ") for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [place for place in places if place == top or place.startswith(f"{top}/")]


def remove(folder: Path) -> None:
    """Remove a folder that held a root, and never what is mounted in it.

    Raises
    ------
    RuntimeError
        Something is mounted there; nothing has been removed.
    """
    if not folder.exists():
        return
    if found := mounted(folder):
        msg = f"{folder} is not removed, for these are mounted in it: {' '.join(found)}"
        raise RuntimeError(msg)
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True, timeout=300)
