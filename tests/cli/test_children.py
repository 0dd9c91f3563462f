"""A part that is started, and told to stop at any moment of that."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from becomingone.broker.backoff import Backoff
from becomingone.cli.children import Child


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_a_child_that_is_told_to_stop_while_it_is_being_started_ends(tmp_path: Path, turns: int) -> None:
    """As `up` does when its reader leaves before the parts are there."""
    deaths: list[str] = []
    config = tmp_path / "hub.yaml"
    config.write_text("broker: {url: 'mqtt://127.0.0.1:1'}\n")  # nobody there: it goes on trying

    async def start_and_stop() -> None:
        child = Child(
            "hub",
            ["hub", "run", str(config)],
            log=tmp_path / "hub.log",
            backoff=Backoff(random.Random(1)),
            on_death=deaths.append,
        )
        running = asyncio.get_running_loop().create_task(child.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        await child.stop(10.0)
        await asyncio.wait_for(running, 10.0)
        assert child.pid is None

    asyncio.run(start_and_stop())
    assert deaths == []
