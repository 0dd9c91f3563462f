"""The bench: who is alive, who is dead, and what the dead still do."""

import pytest

from becomingone.hub.config import HubConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import walkers


def bench_of(number):
    bench = Bench(1)
    bench.add_hub(HubConfig.model_validate({}))
    for node in walkers(number, seed=1):
        bench.add_node(node)
    return bench


@pytest.mark.parametrize("silent", [False, True])
def test_the_dead_do_nothing_more(silent):
    bench = bench_of(1)
    bench.run_for(5.0)
    hub, node = bench.hub, bench.nodes["n001"]
    told = (hub._beat.latest.time_us, node.frames, len(bench.ports["n001"].screen.getvalue()))
    assert all(told)
    for name in ("hub", "n001"):
        bench.kill(name, silent=silent)
    links = [link.metrics.attempts for link in bench.links]
    bench.run_for(30.0)
    assert (hub._beat.latest.time_us, node.frames, len(bench.ports["n001"].screen.getvalue())) == told
    assert [link.metrics.attempts for link in bench.links] == links
    assert (bench.hub, bench.nodes) == (None, {})


def test_only_who_is_alive_can_be_killed():
    bench = bench_of(2)
    bench.kill("n001")
    with pytest.raises(ValueError, match="n001 is not alive and cannot be killed; alive are hub, n002"):
        bench.kill("n001")
    with pytest.raises(ValueError, match="moon is not alive"):
        bench.kill("moon")


def test_every_life_has_a_boot_of_its_own_and_the_last_snapshot_of_each_is_kept():
    bench = bench_of(1)
    bench.run_for(5.0)
    bench.add_hub(HubConfig.model_validate({}))
    assert bench.snapshot() == {}
    bench.run_for(5.0)
    assert list(bench.snapshots) == [1, 2]
    assert bench.snapshots[1]["frames"] > 30
    assert bench.snapshot() == bench.snapshots[2]
    bench.add_node(walkers(1, seed=1)[0])
    bench.run_for(5.0)
    assert len(bench.agents) == 2
    assert bench.snapshot()["nodes"]["n001"]["state"] == "ready"
