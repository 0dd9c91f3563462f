"""The SHA-256 that an image was published with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from becomingone.errors import ConfigError

_DIGEST: Final = re.compile(r"[0-9a-fA-F]{64}")
_LINE: Final = re.compile(r"(?P<digest>[0-9a-fA-F]{64})(?: [ *](?P<name>.+))?")
_LARGEST: Final = 1 << 20


def published(word: str | None, image: Path) -> str:
    """Find the SHA-256 that an image must have.

    Parameters
    ----------
    word : str or None
        64 hexadecimal digits, or a file as sha256sum(1) writes it; None: the file ``IMAGE.sha256`` beside the image.
    image : Path
        The image; in a file with several lines its name decides which one.

    Returns
    -------
    str
        64 lower-case hexadecimal digits.

    Raises
    ------
    ConfigError
        There is none, or the file says nothing about this image.
    """
    if word is not None and _DIGEST.fullmatch(word):
        return word.lower()
    if word is not None and not _is_path(word):
        raise ConfigError(f"--sha256: {word!r} must be 64 hexadecimal digits, or a file that has them")
    path = Path(word) if word is not None else image.with_name(image.name + ".sha256")
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8")
    except FileNotFoundError:
        if word is not None:
            raise ConfigError(f"--sha256: {path}: there is no such file") from None
        msg = f"{image}: there is no {path.name} beside it: fetch it from where the image is from, or give --sha256 HEX"
        raise ConfigError(msg) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--sha256: {path}: {getattr(error, 'strerror', None) or error}") from error
    return _in_file(path, text, image)


def _is_path(word: str) -> bool:
    return "/" in word or "." in word or Path(word).exists()


def _in_file(path: Path, text: str, image: Path) -> str:
    found: list[tuple[str, str | None]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ConfigError(f"{path}:{number}: must be 64 hexadecimal digits, two spaces and a file's name")
        found.append((match["digest"].lower(), match["name"]))
    named = [digest for digest, name in found if name is None or Path(name).name == image.name]
    if len(set(named)) != 1:
        names = ", ".join(name or "?" for _, name in found[:3]) or "nothing"
        raise ConfigError(f"{path}: says nothing about {image.name}, or two things (it has: {names})")
    return named[0]
