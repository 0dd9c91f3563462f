"""docs/provisioning.md shows commands with what they print: typed again, they print the same."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/provisioning.md").read_text()
VARYING = (
    (r"\b\d{4}-\d\d-\d\d\b", "DATE"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"^/\S*/out:", "/FOLDER/out:"),
)


def shown():
    """Every command of ours on the page but the one that takes an image, with the lines below it."""
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("becomingone ") and "--image" not in command:
                yield command, output


def constant(text):
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.rstrip()


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """Type a line in the cell folder."""
    mesh = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if block.startswith("# mesh.yaml"))
    (tmp_path / "mesh.yaml").write_text(mesh)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))

    def run(command):
        words = [sys.executable, "-m", "becomingone", *shlex.split(command)[1:]]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_what_the_walk_shows_is_what_is_printed(typed):
    commands = list(shown())
    assert [command.split()[2] for command, _ in commands] == ["check", "ca", "node", "render"]
    for command, output in commands:
        done = typed(command)
        assert done.returncode == 0, done.stderr
        assert constant(done.stdout + done.stderr) == constant(output), command
