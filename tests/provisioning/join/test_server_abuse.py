"""What strangers do to a server that is there for machines which nobody knows yet."""

import json
import resource
import socket
import ssl
import time
import tracemalloc
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from becomingone.provisioning.join.connections import Limits
from becomingone.provisioning.join.messages import MOST_REQUEST, Refused, read_request
from becomingone.provisioning.join.rate import RateLimit
from becomingone.provisioning.join.token import JoinToken, grouped

from .cell import Joining, csr, joined_as, read_all, request, serving

SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # the second: on a machine that is busy
QUICK = Limits(in_all=6, per_address=4, handshake_s=0.3, life_s=0.6)


def body_of(asked):
    return asked.model_dump_json().encode()


@pytest.mark.slow
def test_ten_thousand_wrong_tokens_change_nothing_and_take_no_memory(cell, caplog):
    """Without a network, so that all of them are heard: 10,000 guesses at the door, from as many addresses."""
    token = cell.token()
    enrolment, wanted = cell.enrolment(), request(token)
    rate = RateLimit(time.monotonic)

    def guess(number):
        wrong = JoinToken("kitchen", number.to_bytes(20, "big"), bytes(20))
        text = type(wanted.token)(grouped(wrong.secret))
        rate.wait_s(f"198.51.{number // 256}.{number % 256}")
        return enrolment.ask(wanted.model_copy(update={"token": text}), "198.51.100.1").outcome

    answers = {guess(number) for number in range(200)}
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    answers |= {guess(number) for number in range(200, 10_000)}
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answers == {Refused(refused="unknown")}
    assert after - before < 500_000  # the addresses that are remembered fill up meanwhile
    assert cell.state() == "open"
    assert cell.certificates() == []


def test_who_guesses_is_slowed_down_and_told_when_to_come_back(cell, caplog):
    token = cell.token()
    with serving(cell, rate=RateLimit(lambda: 0.0)) as served:  # no turn comes back
        wrong = body_of(request(JoinToken("kitchen", bytes(20), bytes(20))))
        statuses = [served.post(wrong)[0] for _ in range(30)]
        answer = served.exchange(b"GET /authority HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses == [403] * 20 + [429] * 10
    assert b"429" in answer.split(b"\r\n")[0]
    assert b"Retry-After: " in answer
    assert cell.state() == "open"
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 2
    assert lines[0] == "127.0.0.1 kitchen refused, unknown: no such token for that node"
    assert lines[1] == "127.0.0.1 ? refused, busy: asks too often"
    assert all(grouped(token.secret)[:9] not in line for line in lines)


@pytest.mark.parametrize("size", [MOST_REQUEST + 1, 10_000_000])
def test_what_is_too_long_is_refused_by_its_length_alone(cell, served, size):
    head = f"POST /enrol HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    began = time.monotonic()
    answer = served.exchange(head)
    assert answer.split(b"\r\n")[0].endswith(b"413 Request Entity Too Large") or b" 413 " in answer[:30]
    assert time.monotonic() - began < 4


def test_what_is_too_long_and_does_not_say_so_is_cut_off(served):
    chunk = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
    answer = served.exchange(b"POST /enrol HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 400)
    assert answer[:13] in (b"HTTP/1.1 413 ", b"")  # or it is cut before it has read the answer


def test_a_compressed_request_is_not_unpacked(served):
    answer = served.exchange(
        b"POST /enrol HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    )
    assert b" 400 " in answer[:30]


def test_headers_without_end_are_refused(served):
    answer = served.exchange(b"GET /authority HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(100_000)))
    assert answer == b"" or b" 400 " in answer[:30]


@pytest.mark.parametrize("path", ["/", "/enrol/", "/authority", "/../secrets/ca.key", "/enrol?x=1"])
def test_there_are_two_paths_and_nothing_else(served, path):
    status, body = served.post(b"{}", path)
    assert status == (400 if path == "/enrol?x=1" else 404)
    assert json.loads(body) == {"refused": "malformed"}


def slow(served, first=b""):
    """Send a byte now and then, until the server has had enough; give the seconds."""
    began = time.monotonic()
    with served.open_tls() as sock:
        sock.settimeout(0.05)
        end = began + 10
        try:
            sock.sendall(first)
            while time.monotonic() < end:
                sock.sendall(b"a")
                try:
                    if not sock.recv(4096):
                        break
                except TimeoutError:
                    continue
        except OSError:
            pass
    return time.monotonic() - began


@pytest.mark.parametrize("first", [b"", b"POST /enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"])
def test_who_is_slow_is_cut(cell, first):
    with serving(cell, limits=QUICK) as served:
        assert slow(served, first) < 5


def test_who_never_begins_with_tls_is_cut_and_others_are_served(cell, tmp_path):
    token = cell.token()
    with serving(cell, limits=QUICK) as served:
        idle = [socket.create_connection((served.endpoint.host, served.endpoint.port)) for _ in range(4)]
        try:
            for sock in idle:
                sock.settimeout(10)
                assert sock.recv(1) == b""  # closed by the server
            Joining(tmp_path / "node", token, served.endpoint).join.run()
        finally:
            for sock in idle:
                sock.close()
    assert joined_as(tmp_path / "node") == "kitchen"


def test_from_one_address_come_so_many_connections_and_no_more(cell):
    """127.0.0.2 is another address of this machine: what 127.0.0.1 takes up is not taken from it."""
    with serving(cell, limits=Limits(in_all=6, per_address=4, handshake_s=5, life_s=10)) as served:
        place = (served.endpoint.host, served.endpoint.port)
        held = [socket.create_connection(place) for _ in range(4)]
        try:
            fifth = socket.create_connection(place)
            fifth.settimeout(10)
            assert fifth.recv(1) == b""
            fifth.close()
            other = socket.create_connection(place, source_address=("127.0.0.2", 0))
            with tls(other) as sock:
                sock.sendall(b"GET /authority HTTP/1.1\r\nHost: x\r\n\r\n")
                assert cell.authority.certificate_pem in read_all(sock)
        finally:
            for sock in held:
                sock.close()


def tls(plain):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)


def test_hundreds_of_connections_leave_no_descriptor_behind(cell, served):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    assert served.exchange(b"GET /authority HTTP/1.1\r\nHost: x\r\n\r\n")
    before = descriptors()
    for number in range(200):
        with socket.create_connection((served.endpoint.host, served.endpoint.port)) as sock:
            sock.sendall(bytes([number]) * number)
    end = time.monotonic() + 10
    while descriptors() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert descriptors() <= before
    assert before < resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(garbage=st.binary(max_size=2000))
def test_garbage_in_place_of_http_is_refused_and_no_more(served, garbage):
    answer = served.exchange(garbage + b"\r\n\r\n")
    assert answer == b"" or answer[9:12] in (b"400", b"404", b"408", b"413"), answer


@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_garbage_in_place_of_a_request_is_none(garbage):
    assert read_request(garbage) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(values=st.fixed_dictionaries({"node": JSON, "token": JSON, "csr": JSON}))
def test_fields_of_any_kind_are_no_request_or_refused(values):
    read = read_request(json.dumps(values).encode())
    assert read is None or read.csr.startswith("-----BEGIN CERTIFICATE")


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(place=st.integers(min_value=0, max_value=600), byte=st.integers(min_value=0, max_value=127))
def test_a_request_with_a_byte_changed_is_refused_or_the_same_key(cell, place, byte):
    """With the right token: whatever is done to the certificate request, no certificate comes of it by mistake."""
    token = cell.token()
    text = csr("kitchen")
    asked = public_key(x509.load_pem_x509_csr(text.encode()))
    changed = text[:place] + chr(byte) + text[place + 1 :]
    before = len(cell.certificates())
    read = read_request(json.dumps({"node": "kitchen", "token": grouped(token.secret), "csr": changed}).encode())
    if read is None:
        return
    outcome = cell.enrolment().ask(read, "192.0.2.7").outcome
    if isinstance(outcome, Refused):
        assert outcome.refused == "malformed"
        assert len(cell.certificates()) == before
    else:
        assert public_key(x509.load_pem_x509_certificate(outcome.certificate.encode())) == asked


def test_a_bug_is_told_and_the_next_is_served(cell, served, caplog, mocker):
    mocker.patch.object(served.server._enrolment, "ask", side_effect=RuntimeError("a bug"))
    status, body = served.post(body_of(request(cell.token())))
    assert (status, json.loads(body)) == (503, {"refused": "unavailable"})
    assert "a bug" in caplog.text
    mocker.stopall()
    assert served.post(body_of(request(cell.token())))[0] == 200


def public_key(holder):
    return holder.public_key().public_numbers()
