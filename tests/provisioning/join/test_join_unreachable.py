"""A server that is not there, or not yet."""

import socket

import pytest

from becomingone.errors import ProvisioningError
from becomingone.provisioning.join.client import Endpoint
from becomingone.provisioning.join.joining import joined

from .cell import Joining, serving


def test_a_server_that_is_not_there_is_tried_again_ever_more_slowly(cell, tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        one = Joining(tmp_path / "node", cell.token(), Endpoint("127.0.0.1", held.getsockname()[1]))
        with pytest.raises(
            ProvisioningError, match=r"not joined within 300 s: .* cannot be reached: Connection refused"
        ):
            one.join.run()
    assert one.slept[:6] == [0.75, 1.5, 3.0, 6.0, 12.0, 22.5]
    assert max(one.slept) == 22.5
    assert len(one.told) == 2


def test_a_name_that_nobody_knows_is_told(cell, tmp_path):
    one = Joining(tmp_path / "node", cell.token(), Endpoint("becomingone-test.invalid"))
    with pytest.raises(ProvisioningError, match=r"becomingone-test\.invalid is not known here .*: is the name right"):
        one.join.run()


def test_a_server_that_begins_late_is_found(cell, tmp_path):
    token = cell.token()
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    one = Joining(tmp_path / "node", token, Endpoint("127.0.0.1", port))
    with serving(cell) as served:
        one.on_sleep = lambda: setattr(one.join, "_find", lambda: [Endpoint("127.0.0.1", port), served.endpoint])
        one.join.run()
    assert len(one.slept) == 1
    assert joined(one.machine) == "kitchen"
