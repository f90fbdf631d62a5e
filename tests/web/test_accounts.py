"""Accounts, passwords, sessions and keys, in a real store."""

import sqlite3
import stat
import threading
import time

import pytest

from stream.config import Settings
from stream.web import passwords
from stream.web.account import Account, Role
from stream.web.accounts import AccountError, Accounts
from stream.web.journal import Filter, Journal
from stream.web.keys import ApiKeys
from stream.web.opening import first_words
from stream.web.sessions import Sessions
from stream.web.store import Store, StoreError

GOOD = "violet anchor seventeen"
MINUTE_NS = 60_000_000_000


class Clock:
    def __init__(self):
        self.now_ns = 1_800_000_000_000_000_000

    def __call__(self):
        return self.now_ns

    def later(self, minutes):
        self.now_ns += int(minutes * MINUTE_NS)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    with Store(tmp_path / "accounts.sqlite3", clock) as made:
        yield made


@pytest.fixture
def accounts(store):
    return Accounts(store, Journal(store))


@pytest.fixture
def sessions(store):
    return Sessions(store, Settings().accounts)


@pytest.fixture(scope="module")
def hashed():
    """A hash takes a while: once is enough for accounts that tests only start from."""
    return passwords.hashed(GOOD)


@pytest.fixture
def ada(store, accounts, hashed):
    for name, role, cameras in (("root", "administrator", None), ("Ada", "reviewer", '["gate", "yard"]')):
        values = (name * 2, name.lower(), name, role, cameras, hashed, False, store.clock_ns(), False)
        with store.writing() as connection:
            connection.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    return accounts.known("Ada")


def actions(store):
    return [(line.actor, line.action, line.detail) for line in Journal(store).entries(Filter())]


# accounts


def test_an_account_is_known_by_name_and_password_in_any_spelling_that_counts_as_the_same(accounts, ada):
    assert ada.account == Account("Ada", Role.REVIEWER, frozenset({"gate", "yard"}))
    assert accounts.check("ADA", GOOD) == ada
    assert (
        accounts.check("Ada", GOOD.replace("i", "\uff49")) == ada
    )  # full-width: the same after normalisation
    assert accounts.check("Ada", GOOD.upper()) is None
    assert accounts.check("Bob", GOOD) is None
    assert accounts.check("\u202eada", GOOD) is None


def test_a_stolen_file_holds_no_password_session_link_or_key(store, accounts, sessions, ada):
    token, link = sessions.begin(ada.id, "127.0.0.1"), sessions.link_token(ada.id)
    _, key = ApiKeys(store, Journal(store)).add("script", ada, Role.VIEWER, None, "test")
    stored = sqlite3.connect(store.path).execute("SELECT password FROM account").fetchall()
    assert all(row[0].startswith("$argon2id$v=19$m=65536,t=3,p=4$") for row in stored)
    files = b"".join(path.read_bytes() for path in store.path.parent.iterdir() if path.is_file())
    for secret in (GOOD, token, link, key):
        assert secret.encode() not in files
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.with_suffix(".key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "password", "sentence"),
    [
        ("ada", GOOD, "name: must be one that is not taken, found 'ada'"),
        (
            "LOCAL",
            GOOD,
            "name: must not be 'local' or hold one of ():, which tell others apart in the log, found 'LOCAL'",
        ),
        (
            "Ada (key x)",
            GOOD,
            "name: must not be 'local' or hold one of ():, which tell others apart in the log, found 'Ada (key x)'",
        ),
        (" ", GOOD, "name: must have 1 to 80 characters, found 0"),
        ("a\u202eb", GOOD, "name: must not hold invisible or direction-changing characters, found U+202E"),
        ("bob", "short", "password: must have 12 to 256 characters, found 5"),
        ("bob", "x" * 257, "password: must have 12 to 256 characters, found 257"),
        ("bob", "aaaabbbbaaaabbbb", "password: must have at least 5 different characters, found 2"),
        ("bob", "Bob and somebody", "password: must not hold the account's name"),
    ],
)
def test_an_account_that_cannot_be_is_refused_with_the_rule(accounts, ada, name, password, sentence):
    with pytest.raises(AccountError) as caught:
        accounts.add(name, Role.VIEWER, None, password, "test")

    assert str(caught.value) == sentence
    assert [member.account.name for member in accounts.all()] == ["Ada", "root"]


def test_there_is_always_an_administrator_left(accounts, ada):
    for attempt in (
        lambda: accounts.remove("root", "test"),
        lambda: accounts.change("root", Role.REVIEWER, None, "test"),
    ):
        with pytest.raises(
            AccountError, match="role: there must be an administrator left, and 'root' is the only"
        ):
            attempt()
    accounts.change("Ada", Role.ADMINISTRATOR, None, "test")
    accounts.remove("root", "test")
    assert [member.account.name for member in accounts.all()] == ["Ada"]


def test_every_change_of_an_account_ends_its_sessions_and_links_and_is_in_the_log(
    accounts, sessions, ada, store
):
    changes = (
        lambda: accounts.change("Ada", Role.OPERATOR, None, "root"),
        lambda: accounts.set_password("Ada", "another good password", "root"),
        lambda: accounts.remove("Ada", "root"),
    )
    for change in changes:
        token, link = sessions.begin(ada.id, "10.0.0.7"), sessions.link_token(ada.id)
        assert sessions.account(token)
        change()
        assert sessions.account(token) is None
        assert sessions.redeem(link) is None
    assert actions(store)[:3] == [
        ("root", "account removed", "Ada"),
        ("root", "password changed", "Ada"),
        ("root", "account changed", "Ada: operator, all cameras, was reviewer, cameras: gate, yard"),
    ]


def test_a_password_hashed_with_weaker_settings_is_hashed_anew_when_it_is_next_used(accounts, ada, store):
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)
    with store.writing() as connection:
        connection.execute("UPDATE account SET password = ? WHERE id = ?", (weak, ada.id))
    assert accounts.check("Ada", GOOD) == ada
    with store.reading() as connection:
        now = connection.execute("SELECT password FROM account WHERE id = ?", (ada.id,)).fetchone()[0]
    assert now != weak and not passwords.outdated(now)


def test_generated_passwords_keep_the_rule_and_differ():
    made = {passwords.generate() for _ in range(50)}
    assert len(made) == 50
    for each in made:
        passwords.check_rule(each, "admin")


# sessions


def test_a_session_ends_by_age_however_much_it_is_used(sessions, ada, clock):
    token = sessions.begin(ada.id, "127.0.0.1")
    for _ in range(23):
        clock.later(30)
        assert sessions.account(token)[0] == ada.account
        sessions.note(token)
    clock.later(30)
    assert sessions.account(token) is None


def test_a_session_ends_when_it_is_not_used(sessions, ada, clock):
    token = sessions.begin(ada.id, "127.0.0.1")
    clock.later(59)
    account, due = sessions.account(token)
    assert account == ada.account and due
    clock.later(1)
    assert sessions.account(token) is None
    assert sessions.of(ada.id) == ()


def test_signing_in_again_replaces_the_session_and_others_can_be_ended(sessions, ada):
    first = sessions.begin(ada.id, "127.0.0.1")
    second = sessions.begin(ada.id, "127.0.0.1", instead=first)
    third = sessions.begin(ada.id, "10.0.0.9")
    assert sessions.account(first) is None
    assert [(each.peer, each.current) for each in sessions.of(ada.id, second)] in (
        [("127.0.0.1", True), ("10.0.0.9", False)],
        [("10.0.0.9", False), ("127.0.0.1", True)],
    )
    assert sessions.end_all(ada.id, but=second) == 1
    assert sessions.account(third) is None
    assert sessions.account(second)


def test_a_link_signs_in_once_and_within_ten_minutes(sessions, ada, clock):
    link = sessions.link_token(ada.id)
    assert sessions.redeem(link) == ada
    assert sessions.redeem(link) is None
    late, older = sessions.link_token(ada.id), None
    clock.later(10)
    assert sessions.redeem(late) is None
    older, newer = sessions.link_token(ada.id), sessions.link_token(ada.id)
    assert sessions.redeem(older) is None
    assert sessions.redeem(newer) == ada


def test_one_link_redeemed_by_many_at_once_signs_one_in(sessions, ada):
    link, won = sessions.link_token(ada.id), []
    threads = [threading.Thread(target=lambda: won.append(sessions.redeem(link))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each for each in won if each] == [ada]


# keys


def test_a_key_never_has_more_rights_than_its_owner_has_now(store, accounts, ada):
    keys = ApiKeys(store, Journal(store))
    with pytest.raises(AccountError, match="role: must be one that the owner covers"):
        keys.add("script", ada, Role.ADMINISTRATOR, None, "test")
    _, token = keys.add("script", ada, Role.REVIEWER, None, "test")
    assert keys.account(token)[0] == Account("Ada (key script)", Role.REVIEWER, frozenset({"gate", "yard"}))
    accounts.change("Ada", Role.VIEWER, ("yard", "hall"), "test")
    assert keys.account(token)[0] == Account("Ada (key script)", Role.VIEWER, frozenset({"yard", "hall"}))
    accounts.remove("Ada", "test")
    assert keys.account(token) is None


def test_a_key_can_be_revoked_and_is_limited_to_its_own_cameras(store, ada):
    keys = ApiKeys(store, Journal(store))
    key, token = keys.add("script", ada, Role.VIEWER, ("yard", "hall"), "test")
    assert keys.account(token)[0].cameras == frozenset({"yard"})
    with pytest.raises(AccountError, match="label: must be one that Ada has no key of, found 'script'"):
        keys.add("script", ada, Role.VIEWER, None, "test")
    keys.note(token)
    assert [each.used_wall_ns for each in keys.all()] == [store.clock_ns()]
    keys.revoke(key.id, "test")
    assert keys.account(token) is None
    with pytest.raises(AccountError, match="key: must be the id of one"):
        keys.revoke(key.id, "test")


# the store


def test_readers_do_not_wait_for_a_writer(store, sessions, ada):
    token = sessions.begin(ada.id, "127.0.0.1")
    inside, done = threading.Event(), threading.Event()

    def write():
        with store.writing() as connection:
            connection.execute("UPDATE account SET role = 'viewer' WHERE id = ?", (ada.id,))
            inside.set()
            done.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    assert inside.wait(30)
    assert sessions.account(token)[0].role is Role.REVIEWER
    done.set()
    thread.join()
    assert sessions.account(token)[0].role is Role.VIEWER


def test_two_stores_of_one_file_write_one_log(tmp_path):
    path = tmp_path / "accounts.sqlite3"

    def write(number):
        with Store(path) as own:
            for _ in range(20):
                Journal(own).write(f"writer {number}", "viewed")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store(path) as store:
        assert Journal(store).verify() == 80


def test_the_log_verifies_while_others_write_it(store):
    journal, stop = Journal(store), threading.Event()

    def write():
        while not stop.is_set():
            journal.write("writer", "viewed")

    thread = threading.Thread(target=write)
    thread.start()
    deadline = time.monotonic() + 30
    while journal.verify() < 50:
        assert time.monotonic() < deadline
    stop.set()
    thread.join()


def test_a_store_whose_key_is_another_s_or_gone_is_left_as_it_is(tmp_path):
    path = tmp_path / "accounts.sqlite3"
    Store(path).close()
    before = path.read_bytes()
    key = path.with_suffix(".key")
    key.write_bytes(bytes(32))
    with pytest.raises(StoreError, match=r"accounts\.key: is not the key of .*; nothing was changed"):
        Store(path)
    key.unlink()
    with pytest.raises(
        StoreError, match=r"accounts\.key: is missing; without it the log cannot be checked or go on"
    ):
        Store(path)
    assert path.read_bytes() == before
    path.write_bytes(b"no database at all, but quite long " * 100)
    with pytest.raises(StoreError, match="is damaged or not a file of accounts"):
        Store(path)


def test_an_emptied_store_beside_its_key_is_not_taken_for_a_first_start(tmp_path):
    path = tmp_path / "accounts.sqlite3"
    Store(path).close()
    for each in tmp_path.glob("accounts.sqlite3*"):
        each.unlink()
    with pytest.raises(StoreError, match="is missing or empty although its key"):
        Store(path)


def test_a_password_that_somebody_else_chose_must_be_changed_and_one_s_own_need_not(accounts, sessions):
    def asked(name):
        return sessions.account(sessions.begin(accounts.known(name).id, "peer"))[0].must_change

    accounts.add("Grace", Role.VIEWER, None, GOOD, "root")
    assert asked("Grace")
    grace = accounts.known("Grace").account
    accounts.set_password("Grace", "one of my very own", grace)
    assert not asked("Grace")
    accounts.set_password("Grace", "one that the boss chose", Account("root", Role.ADMINISTRATOR))
    assert asked("Grace") and not accounts.known("Grace").generated
    accounts.set_password("Grace", "made by the program", grace, generated=True)
    assert asked("Grace")
    # A link signs in without a password, and so does the session that takes the place of this one.
    token = sessions.begin(accounts.known("Grace").id, "peer", by_link=True)
    assert not sessions.account(token)[0].must_change
    token = sessions.begin(accounts.known("Grace").id, "peer", instead=token)
    assert not sessions.account(token)[0].must_change
    token = sessions.begin(accounts.known("Grace").id, "peer", instead=token, by_link=False)
    assert sessions.account(token)[0].must_change


def test_a_store_of_the_version_before_keeps_accounts_and_sessions_and_asks_for_generated_passwords(
    tmp_path, hashed
):
    path = tmp_path / "accounts.sqlite3"
    with Store(path) as store:
        accounts = Accounts(store, Journal(store))
        for name in ("admin", "Ada"):
            accounts.add(name, Role.ADMINISTRATOR, None, GOOD, "t", generated=name == "admin")
        tokens = [Sessions(store, Settings().accounts).begin(each.id, "peer") for each in accounts.all()]
    with sqlite3.connect(path) as connection:  # as the version before wrote it
        connection.execute("ALTER TABLE account DROP COLUMN must_change")
        connection.execute("ALTER TABLE session DROP COLUMN by_link")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with Store(path) as store:
        found = [Sessions(store, Settings().accounts).account(token)[0] for token in tokens]
        assert [(each.name, each.must_change) for each in found] == [("Ada", False), ("admin", True)]
        assert Accounts(store, Journal(store)).check("Ada", GOOD)
        store.audit(store._connection).verify()


# the first start


def test_the_first_start_makes_one_administrator_and_says_the_password_once(settings):
    words = first_words(settings, "http://127.0.0.1:8300/", terminal=False)
    assert words[0].startswith("First start. Sign in as 'admin' with the password ")
    with Store(settings.accounts.store) as store:
        member = Accounts(store, Journal(store)).check("admin", words[0].split()[-1])
        assert member and member.account.role is Role.ADMINISTRATOR
        assert member.generated and member.must_change
    assert first_words(settings, "http://127.0.0.1:8300/", terminal=False) == []


def test_at_a_terminal_each_start_gives_a_link_and_elsewhere_none_does(settings):
    first_words(settings, "http://127.0.0.1:8300/", terminal=False)
    (line,) = first_words(settings, "https://[::1]:8300/", terminal=True)
    before, token = line.split("https://[::1]:8300/sign-in#once=")
    assert before == "Sign in without it, once, within 10 minutes: "
    with Store(settings.accounts.store) as store:
        assert Sessions(store, settings.accounts).redeem(token).account.name == "admin"
