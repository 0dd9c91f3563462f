"""The watchdog is fed while every part is alive, in virtual time."""

from pathlib import Path

import pytest

from becomingone.node.watchdog import LinkCheck, Watchdog
from becomingone.sim.bench import Bench
from becomingone.sim.clock import VirtualScheduler

from .supervisor import Supervisor

SECOND = 1_000_000_000


def fed(supervisor: Supervisor) -> int:
    supervisor.listen()
    return supervisor.words.count("WATCHDOG")


def test_it_is_fed_at_twice_the_pace_that_is_asked_for(tmp_path: Path) -> None:
    scheduler = VirtualScheduler()
    with Supervisor(tmp_path) as supervisor:
        watchdog = Watchdog(scheduler, supervisor.notifier(), 10 * SECOND, [lambda: None])
        assert fed(supervisor) == 1
        scheduler.run_for(30.0)
        assert fed(supervisor) == 7
        watchdog.close()
        scheduler.run_for(30.0)
        assert fed(supervisor) == 7


def test_it_starves_on_the_first_check_that_finds_something_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = VirtualScheduler()
    wrong: dict[str, str | None] = {"leg": None}
    starved: list[str] = []
    with Supervisor(tmp_path) as supervisor:
        watchdog = Watchdog(
            scheduler,
            supervisor.notifier(),
            10 * SECOND,
            [lambda: None, lambda: wrong["leg"]],
            starved=starved.append,
        )
        scheduler.run_for(11.0)
        before = fed(supervisor)
        wrong["leg"] = "leg hangs"
        scheduler.run_for(20.0)
        assert fed(supervisor) == before
        assert watchdog.starving == "leg hangs"
        assert starved == ["leg hangs"]
        assert "leg hangs; it strikes in about 5.0 s" in caplog.text
        assert supervisor.heard[-1] == {"STATUS": "hung, and about to be restarted: leg hangs"}
        wrong["leg"] = None
        scheduler.run_for(5.0)
        assert fed(supervisor) == before + 1
        assert watchdog.starving is None
        assert "fed again" in caplog.text


def test_a_check_that_raises_has_found_something(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = VirtualScheduler()

    def broken() -> str | None:
        raise ZeroDivisionError

    with Supervisor(tmp_path) as supervisor:
        watchdog = Watchdog(scheduler, supervisor.notifier(), SECOND, [broken])
        scheduler.run_for(2.0)
        assert fed(supervisor) == 1
    assert watchdog.starving is not None
    assert "ZeroDivisionError" in watchdog.starving


def test_a_link_that_tries_is_alive_and_one_that_does_not_is_not() -> None:
    bench = Bench(seed=1)
    link = bench.client("n")
    check = LinkCheck(link, bench.scheduler, idle_s=60.0)
    assert check() is None
    bench.broker.crash(persistent=False, silent=False)
    link.start()
    for _ in range(100):  # the broker is away and the link tries
        bench.run_for(10.0)
        assert check() is None
    bench.broker.restart()
    bench.run_for(10.0)
    assert link.connected
    for _ in range(10):
        bench.run_for(10.0)
        assert check() is None
    link.close()  # stands for a link that has given up, which none does
    bench.run_for(1.0)
    assert check() is None
    bench.run_for(50.0)
    assert check() is None
    bench.run_for(20.0)
    assert str(check()).startswith("no attempt to reach the broker for 7")
