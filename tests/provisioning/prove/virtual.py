"""An emulated PC that boots a card's image, on the operator's network. Software emulation; no KVM is counted on.

QEMU is Debian trixie's (10), from a root of its own: the 7.2 of bookworm has crashed its guests.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Self

from tests.provisioning.machines import Machines
from tests.provisioning.prove import debian, roots
from tests.provisioning.prove.card_image import command_line

PACKAGES = "qemu-system-x86,seabios,ipxe-qemu"
SSH_PORT = 2222


def qemu() -> Path:
    """Make the root that has QEMU, or take the one that is there."""
    folder = roots.cache().parent / f"qemu-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:8]}"
    if not (folder / "complete").exists():
        debian.remove(folder)
        folder.mkdir(parents=True)
        debian.bootstrap(folder / "root", "trixie", PACKAGES)
        (folder / "complete").touch()
    return folder / "root"


class VirtualMachine:
    """One emulated PC; ssh reaches it at `SSH_PORT` of the operator's loopback.

    Parameters
    ----------
    machines : Machines
        Whose operator's network it is on.
    image, kernel, ramdisk : Path
        What it boots, all in one folder; the image is written to.
    """

    def __init__(self, machines: Machines, image: Path, kernel: Path, ramdisk: Path) -> None:
        root = qemu()
        inside = "/srv/vm"
        (root / "srv/vm").mkdir(exist_ok=True)
        shared = root / "etc/resolv.conf"
        shared.unlink(missing_ok=True)
        shared.write_text(roots.resolver())
        script = 'mount --bind "$1" "$0/srv/vm" && mount --bind /dev "$0/dev" && '
        script += 'root=$0 && shift && exec chroot "$root" "$@"'
        words: list[str | Path] = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        words += ["sh", "-c", script, root, image.parent]
        words += ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"]
        words += ["-smp", "2", "-m", "1024"]
        words += ["-nographic", "-monitor", "none", "-serial", f"file:{inside}/console"]
        words += ["-kernel", f"{inside}/{kernel.name}", "-initrd", f"{inside}/{ramdisk.name}"]
        words += ["-append", command_line(image)]
        words += ["-drive", f"file={inside}/{image.name},format=raw,if=virtio,cache=unsafe"]
        words += ["-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{SSH_PORT}-:22", "-device", "virtio-net-pci,netdev=n"]
        words += ["-device", "virtio-rng-pci"]
        self._words = machines.as_operator(words)
        self.console = image.parent / "console"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._words, stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def check(self) -> None:
        """Require that it runs.

        Raises
        ------
        RuntimeError
            It has ended.
        """
        if self._process.poll() is not None:
            msg = f"the emulated machine ended with {self._process.returncode}; its console is {self.console}"
            raise RuntimeError(msg)
