"""A hub with keys that starts again: it takes nothing twice, and is told what it does not know."""

from __future__ import annotations

from .sealed_cell import BASE, SealedCell, tone


def test_a_hub_that_starts_again_takes_nothing_that_the_one_before_has_taken() -> None:
    cell = SealedCell().run(20.0)
    recorded = [entry for entry in cell.bench.broker.trace if "/phase/" in entry.topic]
    cell.kill_hub()
    cell.run(0.2)
    cell.start_hub(2)
    cell.run(0.05)
    for entry in recorded[-30:]:  # still young enough for the live state
        cell.stranger.publish(entry.topic, entry.payload)
    cell.run(0.5)
    assert cell.hub._intake.ingest.frames == 0  # for one second it cannot know, and takes nothing
    cell.run(10.0)
    refused = cell.snapshot["refused"]
    assert set(refused) <= {"before_start", "replayed"}
    assert cell.snapshot["bands"]["stride"]["channels"] == 2
    assert cell.hub._intake.ingest.frames > 100


def test_a_hub_that_starts_again_knows_the_lives_that_are_over() -> None:
    cell = SealedCell().run(5.0)
    earlier = cell.bench.broker.retained[f"{BASE}/node/thigh/about"]
    cell.start_node("thigh", inputs=[tone(0.0)])
    cell.run(5.0)
    cell.kill_hub()
    cell.bench.kill("thigh")
    cell.bench.broker.retained[f"{BASE}/node/thigh/about"] = earlier
    cell.start_hub(2)
    cell.run(5.0)
    assert cell.snapshot["refused"]["wrong_epoch"] == 1
    assert cell.snapshot["nodes"]["thigh"]["hardware"] is None


def test_a_hub_without_memory_and_a_broker_without_descriptions_are_told_everything_again() -> None:
    cell = SealedCell().run(5.0)
    cell.kill_hub()
    cell.store.kept.clear()
    for name in ("thigh", "shank"):
        del cell.bench.broker.retained[f"{BASE}/node/{name}/about"]
    cell.start_hub(2)
    cell.run(15.0)
    assert cell.snapshot["bands"]["stride"]["channels"] == 2
    assert {name: node["state"] for name, node in cell.snapshot["nodes"].items()} == dict.fromkeys(
        ("thigh", "shank", "lamp"), "ready"
    )
    assert cell.store.kept == {"thigh": 1, "shank": 1, "lamp": 1}
