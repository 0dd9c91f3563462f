"""Mosquitto's password file: PBKDF2 with SHA-512, in the form that 2.0 and 2.1 both read."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import SecretStr

ITERATIONS: Final = 20_000
"""The broker works on nothing else while it checks a password: 14 ms on a desktop, ten times that on a small Pi. These
are long random passwords of programs, which no dictionary holds; Mosquitto's own tool takes 101."""

SALT_BYTES: Final = 12
"""2.0 refuses any other length."""


def password_line(user: str, password: str, salt: bytes) -> str:
    """Make one line of a password file.

    Parameters
    ----------
    user : str
        The user name, without a colon.
    password : str
        In plain text.
    salt : bytes
        `SALT_BYTES` random bytes.

    Raises
    ------
    ValueError
        The name holds what ends it in the file, or the salt has another length.
    """
    if not user or set(user) & set(":\n\r"):
        msg = f"a user name in a password file is not empty and holds no colon and no line break: {user!r}"
        raise ValueError(msg)
    if len(salt) != SALT_BYTES:
        msg = f"Mosquitto takes salts of {SALT_BYTES} bytes, not {len(salt)}"
        raise ValueError(msg)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"{user}:$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def password_file(passwords: Mapping[str, SecretStr], random_bytes: Callable[[int], bytes]) -> str:
    """Make a password file of user names and their passwords; ``operator:anna`` logs in as ``operator.anna``.

    Parameters
    ----------
    passwords : mapping of str to SecretStr
        By user name.
    random_bytes : callable
        Gives so many unpredictable bytes: `secrets.token_bytes`.
    """
    lines = [
        password_line(user.replace(":", "."), password.get_secret_value(), random_bytes(SALT_BYTES))
        for user, password in passwords.items()
    ]
    return "\n".join(lines) + "\n"
