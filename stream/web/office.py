"""What all pages share: the settings, the run, the accounts and their journal, the gallery, the archive."""

from __future__ import annotations

from pathlib import Path

from engines.recognition.gallery import Gallery
from stream.archive.archive import Archive
from stream.config import Settings
from stream.web.account import Account
from stream.web.accounts import Accounts
from stream.web.desk import Desk
from stream.web.evaluation import Evaluations
from stream.web.journal import Journal
from stream.web.judging_desk import JudgingDesk
from stream.web.keys import ApiKeys
from stream.web.people_desk import PeopleDesk
from stream.web.sessions import Sessions
from stream.web.settings_file import SettingsFile
from stream.web.store import Store
from stream.web.workshop import Workshop


class Office:
    """One a web process; a context manager. Gallery and archive are opened anew for each use: neither may be shared by
    threads; the store and the journal may.
    """

    def __init__(self, settings: Settings, directory: Path, config: Path | None = None) -> None:
        """directory: of the run; the overlay listens there. config: the file of the settings. Raises StoreError."""
        self.settings, self.directory = settings, directory
        self.settings_file = SettingsFile(config) if config else None
        self.store = Store(settings.accounts.store)
        self.journal = Journal(self.store)
        self.accounts = Accounts(self.store, self.journal)
        self.sessions = Sessions(self.store, settings.accounts)
        self.keys = ApiKeys(self.store, self.journal)
        self.workshop = Workshop(settings)
        self.people = PeopleDesk(settings.recognition, self.workshop)
        self.judging = JudgingDesk(self.workshop)
        self.desk = Desk(settings.recording.folder)
        self.evaluations = Evaluations(settings)

    def __enter__(self) -> Office:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Done with it."""
        self.evaluations.close()
        self.desk.close()
        self.people.close()
        self.workshop.close()
        self.store.close()

    def gallery(self) -> Gallery:
        """The gallery, a context manager. Raises GalleryError."""
        return Gallery(self.settings.recognition.gallery)

    def archive(self, account: Account) -> Archive:
        """The archive of what was recorded, a context manager; its log names the account. Raises ArchiveError."""
        return Archive.open(self.settings.recording.folder, actor=account.name)
