import sqlite3

import pytest

from stream.web.account import Account, Role
from stream.web.journal import AuditError, Filter, Journal
from stream.web.store import Store

ADA = Account("ada", Role.REVIEWER)


def test_lines_come_newest_first_and_can_be_filtered_and_paged(office):
    first = office.journal.write(ADA, "searched", "camera gate, today")
    office.journal.write("root", "account added", "ada: reviewer, all cameras")
    office.journal.write(ADA, "viewed", "sighting 73", person="9f" * 16)
    lines = office.journal.entries(Filter(), limit=2)
    assert [line.action for line in lines] == ["viewed", "account added"]
    assert office.journal.entries(Filter(), before=lines[-1].sequence) == (first,)
    assert [line.action for line in office.journal.entries(Filter(actor="ada"))] == ["viewed", "searched"]
    assert [line.detail for line in office.journal.entries(Filter(text="GATE"))] == ["camera gate, today"]
    assert [line.detail for line in office.journal.entries(Filter(text="9f" * 16))] == ["sighting 73"]
    assert office.journal.entries(Filter(from_ns=first.wall_ns, to_ns=first.wall_ns + 1)) == (first,)
    assert office.journal.words() == (("ada", "root"), ("account added", "searched", "viewed"))


def test_what_was_altered_left_out_or_added_shows(office):
    for number in range(5):
        office.journal.write(ADA, "viewed", f"sighting {number}")
    assert office.journal.verify() == 5
    connection = sqlite3.connect(office.store.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("UPDATE audit SET actor = 'bob' WHERE sequence = 3")
    connection.execute("DROP TRIGGER audit_holds")
    connection.execute("DROP TRIGGER audit_stays")
    connection.execute("UPDATE audit SET actor = 'bob' WHERE sequence = 3")
    connection.commit()
    with pytest.raises(AuditError, match="line 3 or the one before it was altered"):
        office.journal.verify()
    connection.execute("UPDATE audit SET actor = 'ada' WHERE sequence = 3")
    connection.execute("DELETE FROM audit WHERE sequence = 5")
    connection.commit()
    with pytest.raises(AuditError, match="lines are missing after line 4"):
        office.journal.verify()


def test_a_line_is_there_for_whoever_opens_the_store_next(settings):
    with Store(settings.accounts.store) as store:
        Journal(store).write("root", "signed in")
    with Store(settings.accounts.store) as store:
        assert Journal(store).verify() == 1
