"""The whole way of a kept frame, over a real Mosquitto: node and broker are killed, and the hub has everything once."""

import pytest

from .delivering import deliver


@pytest.mark.mosquitto
def test_whatever_is_killed_the_hub_commits_every_accepted_frame_once(tmp_path):
    figures = deliver(tmp_path, 8, 1)
    assert figures["last_exit"] == 0, "the last node has not delivered everything"
    assert figures["accepted"] > 100
    assert figures["historical"] > 0
    assert (figures["lost"], figures["twice"], figures["said_to_be_lost"], figures["refused"]) == (0, 0, 0, 0), figures
