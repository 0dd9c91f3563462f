"""Finding Mosquitto, and the passwords that it reads."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from pydantic import SecretStr

from becomingone.broker.mosquitto import program as module
from becomingone.broker.mosquitto.passwords import ITERATIONS, SALT_BYTES, password_file, password_line
from becomingone.broker.mosquitto.program import find, parse_version
from becomingone.errors import LinkError, MissingLibraryError


def fake(folder: Path, said: str, code: int = 3) -> Path:
    path = folder / "sbin" / "mosquitto"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("mosquitto version 2.0.11\n\nmosquitto is an MQTT v5.0/v3.1.1/v3.1 broker.\n", (2, 0, 11)),
        ("mosquitto version 2.1.2\n\nUsage: mosquitto [-c config_file]\n", (2, 1, 2)),
        ("1700000000: something\nmosquitto version 2.0.21 (build date 1)\n", (2, 0, 21)),
        ("mosquitto version two\n", None),
        ("mosquitto 2.1.2\n", None),
        ("", None),
    ],
)
def test_the_version_is_read_from_the_help(said: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(said) == version


def test_what_a_version_can_do(tmp_path: Path) -> None:
    old = find(fake(tmp_path / "old", "mosquitto version 2.0.11"))
    assert (old.version, old.is_2_1, old.sqlite, old.name) == ((2, 0, 11), False, None, "Mosquitto 2.0.11")
    program = fake(tmp_path / "new", "mosquitto version 2.1.2", 0)
    assert find(program).sqlite is None
    plugin = tmp_path / "new" / "lib" / "x86_64-linux-gnu" / "mosquitto" / "mosquitto_persist_sqlite.so"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    new = find(program)
    assert new.is_2_1
    assert new.sqlite == plugin


def test_a_mosquitto_that_cannot_be_used_is_said(tmp_path: Path, mocker) -> None:
    with pytest.raises(LinkError, match=r"is Mosquitto 1.6.12, and 2.0.0 is needed: sudo apt install mosquitto"):
        find(fake(tmp_path, "mosquitto version 1.6.12"))
    with pytest.raises(LinkError, match="does not say its version"):
        find(fake(tmp_path, "hello"))
    with pytest.raises(MissingLibraryError, match=r"not installed at .*nowhere: sudo apt install mosquitto"):
        find(tmp_path / "nowhere")
    broken = tmp_path / "broken"
    broken.write_text("no program")
    with pytest.raises(LinkError, match="cannot be run: "):
        find(broken)
    mocker.patch.object(module, "_ELSEWHERE", ())
    mocker.patch("shutil.which", return_value=None)
    with pytest.raises(MissingLibraryError, match=r"^Mosquitto is not installed: sudo apt install mosquitto$"):
        find()


@pytest.mark.mosquitto
def test_the_installed_one_is_found() -> None:
    found = find()
    assert found.version >= (2, 0, 0)
    assert found.program.is_file()


def test_a_password_line_holds_what_its_reader_computes() -> None:
    """Mosquitto's own form: $7$, PBKDF2 with SHA-512; a real one reads it in `test_mosquitto_logins.py`."""
    salt = bytes(range(SALT_BYTES))
    user, _, rest = password_line("operator.anna", "grün und blau", salt).partition(":")
    kind, iterations, salt64, key64 = rest.split("$")[1:]
    assert (user, kind, int(iterations), base64.b64decode(salt64)) == ("operator.anna", "7", ITERATIONS, salt)
    assert base64.b64decode(key64) == hashlib.pbkdf2_hmac("sha512", "grün und blau".encode(), salt, ITERATIONS)


def test_a_password_file_has_a_line_for_each_with_a_salt_of_its_own() -> None:
    salts = iter([b"a" * 12, b"b" * 12])
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return next(salts)

    text = password_file({"hub": SecretStr("x"), "operator:anna": SecretStr("x")}, random_bytes)
    first, second = text.splitlines()
    assert first.startswith("hub:$7$")
    assert second.startswith("operator.anna:$7$")
    assert first.rpartition("$")[2] != second.rpartition("$")[2]
    assert asked == [SALT_BYTES] * 2
    assert password_file({}, random_bytes) == "\n"


@pytest.mark.parametrize("user", ["a:b", "a\nb", "", "a\rb"])
def test_a_name_that_would_end_early_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="no colon and no line break"):
        password_line(user, "x", bytes(SALT_BYTES))


def test_a_salt_that_2_0_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match="salts of 12 bytes"):
        password_line("a", "x", bytes(16))
