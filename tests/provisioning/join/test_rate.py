import pytest

from becomingone.provisioning.join.rate import Allowance, RateLimit, network_of


class Time:
    now = 100.0

    def __call__(self):
        return self.now


def test_turns_run_out_and_come_back():
    time = Time()
    rate = RateLimit(time, per_address=Allowance(burst=3, per_s=0.5))
    assert [rate.wait_s("192.0.2.1") for _ in range(4)] == [0, 0, 0, 2.0]
    assert rate.wait_s("192.0.2.2") == 0
    time.now += 2.0
    assert [rate.wait_s("192.0.2.1") for _ in range(2)] == [0, 2.0]


def test_who_asks_too_often_does_not_use_up_what_is_for_all():
    rate = RateLimit(Time(), per_address=Allowance(burst=2, per_s=1), in_all=Allowance(burst=4, per_s=1))
    assert sum(rate.wait_s("192.0.2.1") == 0 for _ in range(1000)) == 2
    assert [rate.wait_s("192.0.2.2") for _ in range(2)] == [0, 0]
    assert rate.wait_s("192.0.2.3") == 1.0


def test_however_many_ask_little_is_remembered():
    rate = RateLimit(Time(), addresses=100)
    for number in range(10_000):
        rate.wait_s(f"198.51.{number // 256}.{number % 256}")
    assert len(rate) == 100


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("?", "?"),
    ],
)
def test_one_asker_is_an_address_or_what_one_customer_has(address, network):
    assert network_of(address) == network
