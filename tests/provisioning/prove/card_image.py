"""A stand-in for Raspberry Pi OS that an emulated PC can boot: Debian with cloud-init, laid out as on a card.

The boot partition is FAT and holds what the card writer looks for; cloud-init takes its files from there. What stands
in for the Pi's firmware, which reads ``cmdline.txt``, is in `tests.provisioning.prove.virtual`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.provisioning.prove import debian, roots

MIB = 1 << 20
BOOT_START, BOOT_SIZE = 4 * MIB, 64 * MIB
ROOT_START, ROOT_SIZE = 68 * MIB, 3000 * MIB

PACKAGES = (
    "ca-certificates,cloud-guest-utils,cloud-init,dbus,dosfstools,e2fsprogs,fdisk,iproute2,libpam-systemd,linux-image-amd64,netplan.io,openssh-server,"
    "python3,python3-apt,sudo,systemd,systemd-resolved,systemd-sysv,zstd"
)
_BOOT = {
    "cmdline.txt": "console=ttyS0,115200 root=LABEL=rootfs rootfstype=ext4 rootwait net.ifnames=0\n",
    "config.txt": "dtparam=audio=on\ncamera_auto_detect=1\n",
    "user-data": "#cloud-config\n# as it comes\n",
    "meta-data": "dsmode: local\ninstance_id: rpios-image\n",
    "network-config": "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n      optional: true\n",
    "issue.txt": "a stand-in for what pi-gen makes\n",
}
_ROOT = {
    "etc/fstab": "LABEL=rootfs / ext4 defaults 0 1\nLABEL=BOOTFS /boot/firmware vfat defaults 0 2\n",
    "etc/cloud/cloud.cfg.d/99_card.cfg": (
        "datasource_list: [NoCloud, None]\ndatasource: {NoCloud: {seedfrom: 'file:///boot/firmware/'}}\n"
    ),
    "etc/initramfs-tools/conf.d/modules": "MODULES=most\n",
}
_AFTER_BOOT_PARTITION = "[Unit]\nRequiresMountsFor=/boot/firmware\n"


def image() -> tuple[Path, Path, Path]:
    """Make it, or take the one that is there; gives the image, and a kernel and an initial RAM disk for it."""
    made = hashlib.sha256(repr((PACKAGES, _BOOT, _ROOT, ROOT_SIZE)).encode()).hexdigest()[:8]
    folder = roots.cache().parent / "card" / made
    path, kernel, ramdisk = folder / "card.img", folder / "vmlinuz", folder / "initrd.img"
    if not (folder / "complete").exists():
        debian.remove(folder)
        folder.mkdir(parents=True)
        root = folder / "root"
        _make_root(root)
        shutil.copyfile(next((root / "boot").glob("vmlinuz-*")), kernel)
        shutil.copyfile(next((root / "boot").glob("initrd.img-*")), ramdisk)
        _make_image(path, root, folder / "boot")
        debian.remove(root)
        (folder / "complete").touch()
    return path, kernel, ramdisk


def _make_root(root: Path) -> None:
    debian.bootstrap(root, "trixie", PACKAGES)
    for name, text in _ROOT.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for unit in ("cloud-init-main.service", "cloud-init-local.service"):
        folder = root / f"etc/systemd/system/{unit}.d"
        folder.mkdir()
        (folder / "card.conf").write_text(_AFTER_BOOT_PARTITION)
    (root / "boot/firmware").mkdir(exist_ok=True)
    (root / "etc/machine-id").write_text("")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        shutil.copyfile(bundle, root / "etc/ssl/certs/ca-certificates.crt")


def _make_image(path: Path, root: Path, boot: Path) -> None:
    with path.open("wb") as file:
        file.truncate(ROOT_START + ROOT_SIZE)
    sectors = [number // 512 for number in (BOOT_START, BOOT_SIZE, ROOT_START, ROOT_SIZE)]
    table = "label: dos\nstart={}, size={}, type=c\nstart={}, size={}, type=83\n".format(*sectors)
    subprocess.run(["sfdisk", "-q", path], input=table, text=True, check=True)
    words = ["mkfs.vfat", "-n", "BOOTFS", "-F", "32", "-s", "1", f"--offset={sectors[0]}", path, BOOT_SIZE // 1024]
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
    boot.mkdir()
    for name, text in _BOOT.items():
        (boot / name).write_text(text)
    subprocess.run(["mcopy", "-i", f"{path}@@{BOOT_START}", *boot.iterdir(), "::"], check=True)
    words = ["mke2fs", "-q", "-t", "ext4", "-L", "rootfs", "-d", root, "-E", f"offset={ROOT_START}", path]
    subprocess.run([*map(str, words), f"{ROOT_SIZE // 1024}k"], check=True)


def command_line(path: Path) -> str:
    """Read what the Pi's firmware would give the kernel."""
    words = ["mtype", "-i", f"{path}@@{BOOT_START}", "::cmdline.txt"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
