"""Found on the local network: two programs that speak mDNS, over loopback."""

import xml.etree.ElementTree as ET

import pytest

from becomingone.errors import MissingLibraryError
from becomingone.provisioning.join.client import Endpoint, UnreachableError
from becomingone.provisioning.join.mdns import Announcement, announced, avahi_service, find
from becomingone.provisioning.join.token import JoinToken

zeroconf = pytest.importorskip("zeroconf")

OURS, THEIRS = "ab" * 32, "cd" * 32
LOOPBACK = ["127.0.0.1"]


def token(fingerprint=OURS):
    return JoinToken.make("kitchen", fingerprint, bytes)


def test_a_server_is_found_by_the_fingerprint_of_its_cell():
    with announced(Announcement("home", OURS, 8802), LOOPBACK):
        assert find(token(), listen_s=10, interfaces=LOOPBACK) == [Endpoint("127.0.0.1", 8802)]


@pytest.mark.slow
def test_among_several_cells_of_one_name_the_right_one_is_found_and_its_broker_is_told():
    ours = Announcement("home", OURS, 8802, ("attic.local", 8883))
    with announced(Announcement("home", THEIRS, 8801), LOOPBACK), announced(ours, LOOPBACK):
        assert find(token(), listen_s=10, interfaces=LOOPBACK) == [Endpoint("127.0.0.1", 8802)]
        broker = zeroconf.ServiceInfo("_secure-mqtt._tcp.local.", "home-abababab._secure-mqtt._tcp.local.")
        with zeroconf.Zeroconf(interfaces=LOOPBACK) as spoken:
            broker.request(spoken, 2000)  # the address of attic.local is for attic to tell
        assert (broker.server, broker.port) == ("attic.local.", 8883)
        assert broker.properties == {b"cell": b"home"}
        with pytest.raises(UnreachableError, match=r"no enrolment server of this cell .*; 2 of other cells have"):
            find(token("ef" * 32), listen_s=3, interfaces=LOOPBACK)


def test_where_nobody_answers_it_is_said_and_nothing_waits_for_ever():
    with pytest.raises(UnreachableError, match=r"\(mDNS\): is one running there"):
        find(token(), listen_s=0.3, interfaces=LOOPBACK)


def test_without_the_library_the_message_says_what_to_install(mocker):
    mocker.patch.dict("sys.modules", {"zeroconf": None})
    with pytest.raises(MissingLibraryError, match="apt install python3-zeroconf"):
        find(token(), listen_s=0.1)


def test_avahi_is_told_the_same():
    group = ET.fromstring(avahi_service(Announcement("home", OURS, 8899, ("attic.local", 8884))).partition('dtd">')[2])
    found = {
        service.findtext("type"): (service.findtext("port"), [one.text for one in service.findall("txt-record")])
        for service in group.findall("service")
    }
    assert found == {
        "_becomingone._tcp": ("8899", ["v=1", "cell=home", "ca=vov2xk5lvov2xk5lvov2xk5lvov2xk5l"]),
        "_secure-mqtt._tcp": ("8884", ["cell=home"]),
    }
    assert group.findtext("name") == "home-abababab"
