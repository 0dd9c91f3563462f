"""Puts a first boot onto a boot partition, in the way that its image takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from becomingone.errors import ProvisioningError
from becomingone.provisioning.cards.cloud_init import cloud_init_files, cloud_init_words
from becomingone.provisioning.cards.fat import FatVolume
from becomingone.provisioning.cards.first_boot import BootFile, FirstBoot
from becomingone.provisioning.cards.firstrun import firstrun_files, firstrun_words
from becomingone.provisioning.cards.install_script import FOLDER, install_files
from becomingone.provisioning.cards.payload import wifi_payload
from becomingone.provisioning.cards.style import Style, style_of, with_settings, with_words

_NAMESPACE: Final = UUID("6d3b8c1e-0f0a-4c53-9f0e-6b1f6a0c7a11")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was put onto a boot partition.

    Parameters
    ----------
    style : Style
        How the image takes it.
    files : tuple of BootFile
        Every file, in the order in which they were written.
    """

    style: Style
    files: tuple[BootFile, ...]


def prepare(volume: FatVolume, first: FirstBoot, path: Path) -> Prepared:
    """Write the files.

    Parameters
    ----------
    volume : FatVolume
        The boot partition.
    first : FirstBoot
        What the machine is to be.
    path : Path
        The image, for messages.

    Raises
    ------
    ProvisioningError
        The image takes no first boot, or there is no room.
    """
    style = style_of(volume, path)
    if style is Style.CLOUD_INIT:
        own, words = cloud_init_files(first), cloud_init_words(first)
        folder = install_files(first, forget_network=first.wifi is not None)
    else:
        if first.wifi is not None:
            uuid = str(uuid5(_NAMESPACE, first.instance_id))
            first = replace(first, payload=(*first.payload, *wifi_payload(first.wifi, uuid)))
        own, words = firstrun_files(first), firstrun_words(first)
        folder = install_files(first, forget_network=False)
    cmdline = with_words(_text(volume, "cmdline.txt", path), words, without=first.unwanted_words)
    config = with_settings(_text(volume, "config.txt", path), first.settings)
    files = (*folder, *own, BootFile("config.txt", config.encode()), BootFile("cmdline.txt", cmdline.encode()))
    volume.make_folder(FOLDER)
    for file in files:
        volume.write(file.name, file.content)
    return Prepared(style, files)


def _text(volume: FatVolume, name: str, path: Path) -> str:
    try:
        return volume.read(name).decode("utf-8")
    except UnicodeDecodeError:
        raise ProvisioningError(f"{path}: {name} on its boot partition is no text: damaged") from None
