"""Who did what on the pages, and when: append-only, and altered lines show (engines/recognition/audit.py).

A line never holds a person's name, a picture or a template: people are in it by their random id (person=), so that it
may stay when somebody is erased. The page shows the name beside the id while the person is enrolled.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.recognition.audit import AuditError, Entry
from stream.web.account import Account
from stream.web.store import Store

__all__ = ["AuditError", "Entry", "Filter", "Journal"]

_LONGEST_DETAIL = 500
# From one value to the next by the index; SELECT DISTINCT would read every line.
_DIFFERENT = """
    WITH RECURSIVE found (value) AS (
        SELECT min({column}) FROM audit
        UNION ALL SELECT (SELECT min({column}) FROM audit WHERE {column} > value) FROM found WHERE value IS NOT NULL)
    SELECT value FROM found WHERE value IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines. Empty strings and None mean any; from_ns and to_ns are UTC since 1970, to_ns is not included."""

    actor: str = ""
    action: str = ""
    text: str = ""
    from_ns: int | None = None
    to_ns: int | None = None


class Journal:
    """The log of the pages. Threads take turns. All methods raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, account: Account | str, action: str, detail: str = "", person: str = "") -> Entry:
        """Write one line, on the disk when this returns. Call it before the answer, so that nothing goes unlogged.

        account: who did it. action: a verb in the past tense ("searched", "viewed", "enrolled", …). detail: what, in a
        few words, without names or biometrics. person: the random id of whom it concerns.
        """
        actor = account if isinstance(account, str) else account.name
        with self._store.writing() as connection:
            return self._store.audit(connection).append(action, person, actor, detail[:_LONGEST_DETAIL])

    def entries(self, wanted: Filter, before: int | None = None, limit: int = 100) -> tuple[Entry, ...]:
        """The newest lines first; before: only lines with a smaller sequence number, for the next page."""
        terms = ["sequence < ?"]
        values: list[str | int] = [before if before is not None else (1 << 62)]
        for term, value in (
            ("actor = ?", wanted.actor),
            ("action = ?", wanted.action),
            ("wall_ns >= ?", wanted.from_ns),
            ("wall_ns < ?", wanted.to_ns),
        ):
            if value not in ("", None):
                terms.append(term)
                values.append(value)
        if wanted.text:
            terms.append("(instr(lower(detail), ?) OR person = ?)")
            values += [wanted.text.lower(), wanted.text]
        query = f"SELECT * FROM audit WHERE {' AND '.join(terms)} ORDER BY sequence DESC LIMIT ?"
        with self._store.reading() as connection:
            return tuple(Entry(*row) for row in connection.execute(query, (*values, limit)).fetchall())

    def words(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(actors, actions) that occur, for a choice."""
        with self._store.reading() as connection:
            actors, actions = (
                tuple(row[0] for row in connection.execute(_DIFFERENT.format(column=column)))
                for column in ("actor", "action")
            )
        return actors, actions

    def verify(self) -> int:
        """How many lines there are, when none was altered, left out or added. Raises AuditError too."""
        with self._store.reading() as connection:
            return self._store.audit(connection).verify()
