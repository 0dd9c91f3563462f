"""How an image takes its first-boot configuration: seen from what is on its boot partition."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from becomingone.errors import ProvisioningError
from becomingone.provisioning.cards.fat import FatVolume


class Style(Enum):
    """A way to configure a first boot."""

    CLOUD_INIT = "cloud-init"
    FIRSTRUN = "firstrun"


def style_of(volume: FatVolume, path: Path) -> Style:
    """Tell which one an image takes.

    Raspberry Pi OS has had cloud-init since trixie, with its files on the boot partition; before, a script is run by
    ``systemd.run=`` on the kernel's command line. Raspberry Pi's own Imager decides by the same files.

    Raises
    ------
    ProvisioningError
        It is not an image of Raspberry Pi OS that this program knows.
    """
    names = [name.lower() for name in volume.names()]
    missing = [name for name in ("cmdline.txt", "config.txt") if name not in names]
    if missing:
        raise ProvisioningError(f"{path}: has no {missing[0]} on its boot partition: it is not Raspberry Pi OS")
    if "user-data" in names:
        return Style.CLOUD_INIT
    if "issue.txt" in names and b"pi-gen" in volume.read("issue.txt"):
        return Style.FIRSTRUN
    msg = f"{path}: has neither user-data nor an issue.txt of pi-gen on its boot partition: it is not Raspberry Pi OS"
    raise ProvisioningError(f"{msg} of bookworm or newer")


def with_words(cmdline: str, words: Sequence[str], *, without: Sequence[str] = ()) -> str:
    """Add words to the kernel's command line, which is one line.

    Parameters
    ----------
    cmdline : str
        ``cmdline.txt`` as it is.
    words : sequence of str
        What to add. A word there with the same name, up to ``=``, goes.
    without : sequence of str
        Beginnings of words that go, too.
    """
    gone = (*without, *(word.partition("=")[0] + "=" for word in words))
    kept = [word for word in cmdline.split() if not word.startswith(gone)]
    return " ".join([*kept, *words]) + "\n"


def with_settings(config: str, lines: Sequence[str]) -> str:
    """Add lines to ``config.txt`` where they hold for every board, those that are not in force there already.

    Source: Raspberry Pi documentation, config.txt, "conditional filters": a line in brackets says which boards the
    lines below it are for, and ``[all]`` ends that.
    """
    everywhere, in_force = True, set[str]()
    for line in config.splitlines():
        word = line.strip()
        if word.startswith("[") and word.endswith("]"):
            everywhere = word == "[all]"
        elif everywhere:
            in_force.add(word)
    wanted = [line for line in lines if line not in in_force]
    if not wanted:
        return config
    text = config if config.endswith("\n") or not config else config + "\n"
    head = [] if everywhere else ["[all]"]
    return text + "\n".join(["", *head, "# becomingone", *wanted]) + "\n"
