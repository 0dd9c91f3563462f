"""Fixtures of the tests of the real link."""

import logging
import re

import pytest

from .bench import Bench


@pytest.fixture
def bench(mocker):  # which is undone after the last link has been closed
    mocker.patch("becomingone.broker.paho.GOODBYE_TIMEOUT_S", 0.1)  # some brokers here acknowledge nothing
    with Bench() as made:
        yield made
    assert not made.failures, "an exception was left to the event loop"


@pytest.fixture
def told(bench, caplog):
    """Have a link fail three times, and check that it says `line` as it should; ANY in it is OpenSSL's own wording."""

    def check(link, reason, line, attempts=3):
        caplog.clear()
        begun = bench.loop.time()
        link.start()
        assert bench.until(lambda: len(link.reasons) >= attempts, timeout_s=20)
        took = bench.loop.time() - begun
        assert not link.connected
        first = link.reasons[0]
        assert re.fullmatch(re.escape(line).replace("ANY", ".*"), first)
        assert set(link.reasons) == {first}
        assert link.metrics.failures == {reason: len(link.reasons)}
        assert link.metrics.connects == 0
        logged = [record for record in caplog.records if record.name.startswith("becomingone.")]
        assert [(record.levelno, record.getMessage()) for record in logged] == [
            (logging.WARNING, f"broker: {first}; trying again")
        ]
        assert link.metrics.attempts <= 2 * len(link.reasons) + 1
        return took

    return check
