"""Bare Debian file systems: made once with mmdebstrap, cached, and copied for each machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.provisioning.prove import debian

PACKAGES = (
    "ca-certificates,dbus,iproute2,libpam-systemd,openssh-server,python3,python3-apt,sudo,systemd,systemd-sysv,tzdata"
)
"""What a fresh Raspberry Pi OS has, too, and Ansible needs; nothing that the roles are there to install."""

USER = "pi"


def cache() -> Path:
    """Where roots and machines are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "becomingone" / "machines"


def base(suite: str) -> Path:
    """Make a bare Debian, or take the one that is there.

    Parameters
    ----------
    suite : str
        ``trixie`` or ``bookworm``.
    """
    mark = hashlib.sha256(f"{PACKAGES} 1".encode()).hexdigest()[:8]
    folder = cache() / f"{suite}-{mark}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = folder / "root"
        if not (folder / "complete").exists():
            debian.remove(root)
            debian.bootstrap(root, suite, PACKAGES)
            _open_up(root, suite)
            (folder / "complete").touch()
    return root


def _open_up(root: Path, suite: str) -> None:
    """What the imager and the first boot would have done: a user, and nobody's host keys."""
    subprocess.run(["chroot", root, "useradd", "-m", "-s", "/bin/bash", USER], check=True)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    rule = root / f"etc/sudoers.d/010_{USER}-nopasswd"
    rule.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
    rule.chmod(0o440)
    mirror = debian.MIRROR
    (root / "etc/apt/sources.list").write_text(
        f"deb {mirror} {suite} main\ndeb {mirror} {suite}-updates main\ndeb {mirror}-security {suite}-security main\n"
    )


def copy(suite: str, name: str, to: Path, *, public_key: str, hosts: str) -> None:
    """Make a machine's root.

    Parameters
    ----------
    suite : str
        Which Debian.
    name : str
        Its host name.
    to : Path
        Where; is made.
    public_key : str
        Who may log in, a line of ``authorized_keys``.
    hosts : str
        Further lines of ``/etc/hosts``.
    """
    to.mkdir(parents=True)
    subprocess.run(["cp", "-a", "--reflink=auto", f"{base(suite)}/.", str(to)], check=True, timeout=300)
    to.chmod(0o755)
    etc = to / "etc"
    (etc / "hostname").write_text(f"{name}\n")
    (etc / "machine-id").write_text("")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n{hosts}")
    (etc / "resolv.conf").unlink(missing_ok=True)
    (etc / "resolv.conf").write_text(resolver())
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        shutil.copyfile(bundle, etc / "ssl/certs/ca-certificates.crt")
    subprocess.run(["ssh-keygen", "-q", "-A", "-f", to], check=True, stdout=subprocess.DEVNULL)
    home = to / "home" / USER
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh/authorized_keys").write_text(public_key)
    owner = home.stat()
    for path in (home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, owner.st_uid, owner.st_gid)


def resolver() -> str:
    """Give the name servers of this machine, without the ones that only it can reach."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        lines = path.read_text().splitlines() if path.exists() else []
        servers = [line for line in lines if line.startswith("nameserver") and " 127." not in line]
        if servers:
            return "\n".join(servers) + "\n"
    return ""
