"""Small images that look like Raspberry Pi OS of both ways, made without root."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import subprocess
from pathlib import Path

import pytest

MIB = 1 << 20
BOOT_START, BOOT_SIZE = 4 * MIB, 34 * MIB
ROOT_START, ROOT_SIZE = 38 * MIB, 4 * MIB
SIZE = 43 * MIB

CMDLINE = (
    "console=serial0,115200 console=tty1 root=PARTUUID=8bae82fd-02 rootfstype=ext4 fsck.repair=yes rootwait quiet "
    "init=/usr/lib/raspberrypi-sys-mods/firstboot\n"
)
CONFIG = """\
# For more options and information see
# http://rptl.io/configtxt

#dtparam=i2c_arm=on
dtparam=audio=on
camera_auto_detect=1

[cm4]
otg_mode=1

[cm5]
dtoverlay=dwc2,dr_mode=host
dtparam=spi=on
"""

_SHARED = {
    "cmdline.txt": CMDLINE,
    "config.txt": CONFIG,
    "overlays/README": "overlays\n" * 4000,
    "kernel8.img": "k" * MIB,
}
CLOUD_INIT = _SHARED | {
    "user-data": "#cloud-config\n# as it comes\n",
    "meta-data": "dsmode: local\ninstance_id: rpios-image\n",
    "network-config": "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n      optional: true\n",
    "issue.txt": "Raspberry Pi reference 2025-11-24\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen\n",
}
FIRSTRUN = _SHARED | {
    "issue.txt": "Raspberry Pi reference 2024-11-19\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen\n"
}

_SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(*command: str | Path, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one of the tools that make and check file systems."""
    return subprocess.run(
        [str(word) for word in command],
        input=stdin,
        capture_output=True,
        text=True,
        check=check,
        timeout=60,
        env={**os.environ, "PATH": _SBIN, "MTOOLS_SKIP_CHECK": "1"},
    )


def needs(*tools: str) -> None:
    """Skip where a tool is not installed."""
    missing = [tool for tool in tools if shutil.which(tool, path=_SBIN) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def make_image(path: Path, files: dict[str, str], *, gpt: bool = False) -> Path:
    """Make an image with a FAT boot partition and an ext4 root partition."""
    needs("sfdisk", "mkfs.vfat", "mcopy", "mke2fs")
    with path.open("wb") as file:
        file.truncate(SIZE)
    start, size = (number // 512 for number in (BOOT_START, BOOT_SIZE))
    root_start, root_size = (number // 512 for number in (ROOT_START, ROOT_SIZE))
    kinds = ("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "linux") if gpt else ("c", "83")
    table = f"label: {'gpt' if gpt else 'dos'}\nstart={start}, size={size}, type={kinds[0]}\n"
    table += f"start={root_start}, size={root_size}, type={kinds[1]}\n"
    run("sfdisk", "-q", path, stdin=table)
    # As pi-gen does: mkfs.vfat on a partition that begins somewhere in a file.
    run("mkfs.vfat", "-n", "BOOTFS", "-F", "32", "-s", "1", f"--offset={start}", path, BOOT_SIZE // 1024)
    tree = path.with_name(path.name + ".tree")
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    run("mcopy", "-s", "-i", f"{path}@@{BOOT_START}", *sorted(tree.iterdir()), "::")
    run("mke2fs", "-q", "-t", "ext4", "-d", tree, "-E", f"offset={ROOT_START}", path, f"{ROOT_SIZE // 1024}k")
    shutil.rmtree(tree)
    return path


def pack(path: Path) -> Path:
    """Pack an image as they are published: .xz with a checksum beside it."""
    packed = path.with_name(path.name + ".xz")
    packed.write_bytes(lzma.compress(path.read_bytes(), preset=0))
    write_checksum(packed)
    return packed


def write_checksum(path: Path) -> None:
    """Write the file that is published beside an image."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n")


def boot_names(image: Path) -> list[str]:
    """List every file of the boot partition, with its folder."""
    listed = run("mdir", "-b", "-s", "-a", "-i", f"{image}@@{BOOT_START}", "::").stdout
    return [line.removeprefix("::/") for line in listed.splitlines() if not line.endswith("/")]


def boot_text(image: Path, name: str) -> str:
    """Read a file of the boot partition, with mtools by itself."""
    return run("mtype", "-i", f"{image}@@{BOOT_START}", f"::{name}").stdout


def check_file_systems(image: Path, folder: Path) -> None:
    """Have fsck look at both partitions; neither may be anything but clean."""
    content = image.read_bytes()
    boot, root = folder / "boot.fs", folder / "root.fs"
    boot.write_bytes(content[BOOT_START : BOOT_START + BOOT_SIZE])
    root.write_bytes(content[ROOT_START : ROOT_START + ROOT_SIZE])
    checked = run("fsck.vfat", "-n", boot, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = run("e2fsck", "-fn", root, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
