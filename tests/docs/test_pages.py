"""The manual is true: its links lead somewhere, and its commands are ones that the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from becomingone.cli.parser import parse
from becomingone.cli.scenario import load_scenario

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^]]*\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub makes links of them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}#{anchor}"


def commands() -> list[tuple[str, str]]:
    """Every line of a shell block that starts our program, and every option line that is passed on to `up`."""
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text()):
            for line in block.splitlines():
                words = line.split("#")[0].split(">")[0].strip()
                if words.startswith("becomingone "):
                    found.append((page.name, words))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_are_ones_that_the_program_takes(page: str, line: str) -> None:
    assert callable(parse(shlex.split(line)[1:]).run)


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 5


def test_the_readme_speaks_of_the_home_scenario_as_it_is() -> None:
    scenario = load_scenario("home", overrides=(), environ={})
    text = (ROOT / "README.md").read_text()
    assert {node.node for node in scenario.nodes} >= {"thigh", "shank"}
    assert len(scenario.nodes) == 6
    assert "six nodes" in text
    assert load_scenario("home", overrides=["nodes[0].capability=2"], environ={}).nodes[0].capability == 2


def test_every_room_of_the_architecture_is_on_the_disk() -> None:
    rooms = re.findall(r"^\| `([\w/]+/)`", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    assert len(rooms) >= 10
    assert [room for room in rooms if not (ROOT / room).is_dir()] == []


@pytest.mark.parametrize("page", ["kernel.md", "sdk.md"])
def test_the_examples_run(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
