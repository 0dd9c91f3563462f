"""What a machine is to be after its first boot, whichever way its image takes that."""

from __future__ import annotations

import base64
import binascii
import re
import zoneinfo
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from becomingone.errors import ConfigError
from becomingone.provisioning.cards.wifi import Wifi

Interface = Literal["i2c", "spi", "one_wire", "camera", "audio", "serial", "gpio"]
"""Hardware that has to be switched on for a device."""

INTERFACES: Final[tuple[Interface, ...]] = get_args(Interface)

GROUPS: Final = [
    "adm",
    "dialout",
    "cdrom",
    "audio",
    "users",
    "sudo",
    "video",
    "plugdev",
    "games",
    "input",
    "gpio",
    "spi",
    "i2c",
    "render",
    "netdev",
]
"""What the first user of Raspberry Pi OS is in (pi-gen, stage 2)."""

_SETTINGS: Final[dict[Interface, tuple[str, ...]]] = {
    "i2c": ("dtparam=i2c_arm=on",),
    "spi": ("dtparam=spi=on",),
    "one_wire": ("dtoverlay=w1-gpio",),
    "camera": ("camera_auto_detect=1",),
    "audio": ("dtparam=audio=on",),
    "serial": ("enable_uart=1",),
    "gpio": (),
}
"""Lines of ``config.txt`` (Raspberry Pi documentation; the kernel's overlays/README)."""

_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_LOCALE: Final = re.compile(r"[a-z]{2,3}_[A-Z]{2}(@[a-z]+)?(\.UTF-8)?")
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_SSH_KEY: Final = re.compile(
    r"(?P<kind>ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+|sk-[a-z0-9@.-]+) (?P<blob>[A-Za-z0-9+/=]+)( .*)?"
)


@dataclass(frozen=True, slots=True)
class BootFile:
    """A file for the boot partition.

    Parameters
    ----------
    name : str
        Its path there.
    content : bytes
        What is in it; never shown by ``repr``.
    secret : bool
        Nobody should see it who need not.
    """

    name: str
    content: bytes = field(repr=False)
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """A file that the first boot moves from the boot partition to its place.

    Parameters
    ----------
    name : str
        Its name on the boot partition, in the folder ``becomingone``.
    place : str
        Where it goes: an absolute path.
    mode : int
        Who may do what with it there; it is root's.
    content : bytes
        What is in it; never shown by ``repr``.
    """

    name: str
    place: str
    mode: int
    content: bytes = field(repr=False)

    @property
    def secret(self) -> bool:
        """Whether only root may read it."""
        return not self.mode & 0o044


@dataclass(frozen=True, slots=True)
class FirstBoot:
    """What a machine is to be.

    Parameters
    ----------
    hostname : str
        Its name (RFC 1123), without a domain.
    user : str
        Who logs in, with a key only, and may use sudo without a password.
    ssh_keys : tuple of str
        Public keys, as in ``authorized_keys``.
    instance_id : str
        Another for every card that is written: cloud-init applies what it does not know yet.
    interfaces : tuple of Interface
        What is switched on.
    wifi : Wifi or None
        The wireless network.
    timezone, locale : str or None
        ``Europe/Berlin``, ``de_DE.UTF-8``; None: as the image has it.
    payload : tuple of Installed
        What is put into place.
    software : str or None
        Name of the unit in the payload that installs the software; None: somebody else brings it.
    """

    hostname: str
    user: str
    ssh_keys: tuple[str, ...]
    instance_id: str
    interfaces: tuple[Interface, ...] = ()
    wifi: Wifi | None = None
    timezone: str | None = None
    locale: str | None = None
    payload: tuple[Installed, ...] = ()
    software: str | None = None

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.hostname):
            msg = f"--hostname: {self.hostname!r} must be 1 to 63 of a-z, 0-9 and -, and have no - at its ends"
            raise ConfigError(msg)
        if not _USER.fullmatch(self.user) or self.user == "root":
            raise ConfigError(f"--user: {self.user!r} must be a user's name of a-z, 0-9, _ and -, and not root")
        if not self.ssh_keys:
            raise ConfigError("--ssh-key: at least one public key is needed: there is no password to log in with")
        if self.locale is not None and not _LOCALE.fullmatch(self.locale):
            raise ConfigError(f"--locale: {self.locale!r} must be like de_DE.UTF-8")
        if self.timezone is not None:
            known = zoneinfo.available_timezones()
            if not _ZONE.fullmatch(self.timezone) or (known and self.timezone not in known):
                raise ConfigError(f"--timezone: {self.timezone!r} must be a time zone, like Europe/Berlin")

    @property
    def settings(self) -> list[str]:
        """Lines for ``config.txt``."""
        return [*(line for one in self.interfaces for line in _SETTINGS[one]), "dtparam=watchdog=on"]

    @property
    def modules(self) -> list[str]:
        """Kernel modules to load at every boot; the firmware's settings bring the others."""
        return ["i2c-dev"] if "i2c" in self.interfaces else []

    @property
    def unwanted_words(self) -> tuple[str, ...]:
        """Beginnings of words that must not be on the kernel's command line."""
        return ("console=serial0", "console=ttyAMA0", "console=ttyS0") if "serial" in self.interfaces else ()


def ssh_keys(path: Path) -> tuple[str, ...]:
    """Read public keys from a file, as ssh-keygen(1) writes it: one line each.

    Raises
    ------
    ConfigError
        There is none, or something that is no public key.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--ssh-key: {path}: {getattr(error, 'strerror', None) or 'is no text'}") from error
    if "PRIVATE KEY" in text:
        raise ConfigError(f"--ssh-key: {path}: is a private key, which never leaves your machine: give {path}.pub")
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            found.append(_public_key(line.strip(), f"--ssh-key: {path}:{number}"))
    if not found:
        raise ConfigError(f"--ssh-key: {path}: has no public key")
    return tuple(found)


def _public_key(line: str, where: str) -> str:
    match = _SSH_KEY.fullmatch(line)
    try:
        blob = base64.b64decode(match["blob"], validate=True) if match else b""
    except binascii.Error:
        blob = b""
    # The blob says its own kind again (RFC 4253, 6.6).
    if match is None or blob[4 : 4 + len(match["kind"])] != match["kind"].encode() or not line.isprintable():
        raise ConfigError(f"{where}: must be a public key, such as: ssh-ed25519 AAAA... name")
    return line
