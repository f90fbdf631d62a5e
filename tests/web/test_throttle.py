import pytest

from stream.web.throttle import ACCOUNT, PEER, Throttle


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def throttle(clock):
    return Throttle(clock)


def attempts_within(throttle, clock, seconds, peer, account):
    """How many attempts an attacker gets who tries whenever one is admitted."""
    made, end_s = 0, clock.now_s + seconds
    while clock.now_s < end_s:
        wait_s = throttle.admit(peer(made), account(made))
        made += wait_s == 0
        clock.now_s += wait_s
    return made


def test_some_mistakes_are_free_and_each_further_one_doubles_the_wait(throttle, clock):
    for _ in range(PEER.free):
        assert throttle.admit("10.0.0.1", "ada") == 0
    waits = []
    for _ in range(4):
        waits.append(throttle.admit("10.0.0.1", "ada"))
        assert throttle.admit("10.0.0.1", "ada") == waits[-1]  # asking too early costs nothing more
        clock.now_s += waits[-1]
        assert throttle.admit("10.0.0.1", "ada") == 0
    assert waits == [1, 2, 4, 8]


def test_one_address_gets_few_attempts_at_many_accounts(throttle, clock):
    assert attempts_within(throttle, clock, 3600, lambda _: "10.0.0.1", lambda n: f"name {n}") < 20


def test_many_addresses_get_few_attempts_at_one_account_which_is_never_shut_for_long(throttle, clock):
    made = attempts_within(throttle, clock, 3600, lambda n: f"10.0.{n // 250}.{n % 250}", lambda _: "ada")
    assert made < 3600 / ACCOUNT.longest_s + 20
    assert throttle.admit("192.0.2.1", "ada") <= ACCOUNT.longest_s
    assert throttle.admit("192.0.2.1", "grace") == 0


def test_the_addresses_of_one_ipv6_subscriber_are_one(throttle):
    for number in range(PEER.free):
        assert throttle.admit(f"2001:db8:1:2::{number:x}", f"name {number}") == 0
    assert throttle.admit("2001:db8:1:2:ffff::1", "another") > 0
    assert throttle.admit("2001:db8:1:3::1", "another") == 0
    assert throttle.admit("::ffff:10.0.0.1", "a third") == 0


def test_a_right_password_clears_the_account_but_not_a_guesser_s_address(throttle):
    for number in range(PEER.free - 1):
        throttle.admit("10.0.0.1", f"victim {number}")
    assert throttle.admit("10.0.0.1", "own") == 0
    throttle.succeeded("10.0.0.1", "own")
    assert throttle.admit("10.0.0.1", "victim 9") == 0
    assert throttle.admit("10.0.0.1", "victim 9") > 0


def test_what_is_an_hour_old_is_forgotten_and_memory_is_bounded(throttle, clock):
    for _ in range(PEER.free):
        throttle.admit("10.0.0.1", "ada")
    assert throttle.admit("10.0.0.1", "ada") > 0
    clock.now_s += 3601
    assert throttle.admit("10.0.0.1", "ada") == 0
    for number in range(30_000):
        throttle.admit(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"name {number}")
    assert len(throttle._records) <= 20_000
