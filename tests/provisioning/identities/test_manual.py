"""What docs/brokers.md tells people to type about certificates does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from becomingone.cli import main

PAGE = (Path(__file__).parents[3] / "docs" / "brokers.md").read_text()


def test_the_lines_of_the_manual_make_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    block = next(block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "provision ca" in block)
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    for program, *words in filter(None, lines):
        assert program == "becomingone"
        assert main(words) == 0
    shown = capsys.readouterr().out
    for name in ("broker", "hub", "kitchen", "porch", "operator.anna"):
        assert (tmp_path / "secrets" / "identities" / name / "tls.key").stat().st_mode & 0o777 == 0o600
        assert re.search(rf"^{name.replace('.', ':')} .* valid +here$", shown, re.MULTILINE)
    assert (tmp_path / "secrets" / "crl.pem").exists()
