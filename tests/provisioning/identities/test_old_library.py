"""Debian bookworm has cryptography 38: nothing newer is used, and its times without a zone are taken for UTC."""

from __future__ import annotations

import ast
import importlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import becomingone.provisioning.identities as package
from becomingone.errors import MissingLibraryError
from becomingone.provisioning.identities.certificates import begins, ends

NEWER = {
    # https://cryptography.io/en/latest/changelog/, what came after 38.0
    "not_valid_before_utc", "not_valid_after_utc", "last_update_utc", "next_update_utc", "revocation_date_utc",
    "verification", "PolicyBuilder", "Store", "public_key_algorithm_oid", "signature_algorithm_parameters",
    "verify_directly_issued_by", "load_pem_x509_certificates", "Argon2id", "MLKEM768", "rfc4514_attribute_name",
    "private_key_to_bytes", "rsa_recover_private_exponent", "hazmat_decrepit", "decrepit", "encryption_builder",
}  # fmt: skip


def test_no_name_of_a_newer_library_is_used() -> None:
    files = sorted(Path(package.__file__).parent.glob("*.py"))
    assert len(files) > 8
    used: dict[str, str] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(node, "attr", None) or getattr(node, "name", None) or getattr(node, "module", None)
            for part in str(name).split("."):
                used[part] = file.name
    assert {"fingerprint", "x509", "random_bytes"} & set(used)  # it does find names
    assert {name: used[name] for name in NEWER & set(used)} == {}


def test_times_without_a_zone_are_utc() -> None:
    old: Any = SimpleNamespace(not_valid_before=datetime(2026, 5, 1, 12), not_valid_after=datetime(2027, 5, 1, 12))  # noqa: DTZ001
    assert begins(old) == datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert ends(old) == datetime(2027, 5, 1, 12, tzinfo=UTC)


def test_the_newer_library_s_times_are_taken_where_there_are_some() -> None:
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    new: Any = SimpleNamespace(not_valid_before_utc=at, not_valid_after_utc=at)  # the old names would warn
    assert (begins(new), ends(new)) == (at, at)


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingLibraryError, match="apt install python3-cryptography"):
        importlib.reload(package)
