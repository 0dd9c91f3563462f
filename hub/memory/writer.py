"""What the memory's own thread does: batches to stable storage, and what to do when that fails."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from becomingone.errors import ConfigError
from becomingone.hub.memory.ledger import Ledger
from becomingone.hub.memory.opening import Opener, Token, TooManyError, close, note_salvage, noted_salvage
from becomingone.hub.memory.protocol import CHECKPOINT, Record, StreamKey, Tell
from becomingone.hub.memory.retention import expire, make_room, shrink
from becomingone.hub.memory.salvage import Salvage, last_salvage
from becomingone.hub.memory.scan import UNREADABLE
from becomingone.hub.memory.schema import DamagedError, is_damage, used_bytes
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.written import Written

_LOG = logging.getLogger(__name__)

FORGET_EVERY: Final = 1_000
"""Commits after which marks of lives long past go: those of a year of restarts must not take the frames' room."""

SALVAGE_TRIES: Final = 5
"""Steps that may fail before what is left of a damaged database is given up."""

Waiting = tuple[str, int, str]
"""An entry that is not committed yet: kind, time and body."""


class Writer:
    """Writes one memory. Made and opened in one thread, used in another, never in two at once.

    Parameters
    ----------
    opener : Opener
        Opens the database.
    section : MemorySection
        The rules.
    tell : callable
        Takes what there is to tell, in whichever thread.

    Attributes
    ----------
    written : Written
        Replaced as a whole: may be read in any thread.
    """

    def __init__(self, opener: Opener, section: MemorySection, tell: Tell) -> None:
        self.written = Written()
        self._opener = opener
        self._section = section
        self._tell = tell
        self._ledger: Ledger | None = None
        self._token: Token | None = None
        self._salvage: Salvage | None = None
        self._marks: dict[StreamKey, int] = {}
        self._pruning = self._opened = False
        self._sealed_us = 0
        self._tries = 0

    # -- opening and closing ---------------------------------------------------------------------------------------

    def open(self) -> dict[StreamKey, int]:
        """Open the database for the first time, and give the marks.

        A damaged one is set aside; if even that is of no use, nothing can be committed, and the hub does without.

        Raises
        ------
        ConfigError, OSError, sqlite3.Error
            It cannot be used, for a reason that somebody has to mend.
        """
        try:
            self._open()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            try:
                self._replace(error)
            except TooManyError as further:
                self._say(f"{further}")
        ledger = self._ledger
        if ledger is None:
            return {}
        self._resume(ledger)
        with ledger.transaction():
            if ledger.forget():
                ledger.checkpoint("forgotten", self._opener.time_us())
        self._marks = ledger.marks()
        self._note(0.0)
        return dict(self._marks)

    def close(self) -> None:
        """State how everything is, and close."""
        ledger = self._ledger
        if ledger is not None and (ledger.since or not self._opened) and self.written.commits:
            try:
                with ledger.transaction():
                    ledger.checkpoint("closed", self._opener.time_us())
            except (sqlite3.Error, OSError) as error:
                _LOG.error("%s cannot be closed by a checkpoint: %s", self._opener.path, error)
        self._let_go()
        if self._salvage is not None:
            self._salvage.close()

    @property
    def busy(self) -> bool:
        """Whether there is something to do when nobody has anything to write."""
        return self._salvage is not None and self._ledger is not None

    def _open(self) -> Ledger:
        self._ledger = self._opener.open()
        self._token = self._opener.token()
        self._opened = False
        return self._ledger

    def _reopen(self) -> Ledger:
        ledger = self._open()
        self._resume(ledger)
        return ledger

    def _let_go(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            close(ledger.database, self._opener.path)

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, records: Sequence[Record], marks: Mapping[StreamKey, int], entries: Sequence[Waiting]) -> bool:
        """Commit a batch; False where nothing of it has been kept."""
        began = time.perf_counter()
        try:
            ledger = self._ledger or self._reopen()
            if self._token is None or self._opener.token() != self._token:
                self._let_go()  # somebody has deleted or replaced it: what goes into the old one nobody will read
                _LOG.error("%s is no longer the file that was opened", self._opener.path)
                ledger = self._reopen()
            self._commit(ledger, records, marks, entries)
            if self._opener.token() != self._token:
                raise FileNotFoundError(f"{self._opener.path} has gone while it was written")
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread is the only one that commits
            self._failed(error)
            return False
        self._marks.update(marks)
        if self.written.fault:
            _LOG.warning("%s can be written again", self._opener.path)
            self._tell("memory", {"state": "works", "why": "it can be written again"})
        self._note((time.perf_counter() - began) * 1e3, commits=self.written.commits + 1)
        return True

    def idle(self) -> None:
        """Take over some more from a database that was set aside."""
        salvage, ledger = self._salvage, self._ledger
        if salvage is None or ledger is None:
            return
        try:
            with ledger.transaction():
                salvage.step(ledger, self._opener.time_us())
        except Exception as error:  # noqa: BLE001 - as above
            self._tries += 1
            if self._tries >= SALVAGE_TRIES:
                self._end_salvage(f"given up: {error}")
            else:  # a full disk, say: from the last step on, once something can be written again
                _LOG.error("%s: no more of it can be saved for now: %s", salvage.aside, error)
                salvage.close()
                self._salvage = None
            self._let_go()  # what it knows by heart is ahead of the tables
            return
        self._note(self.written.took_ms)
        if salvage.done:
            self._end_salvage("finished")

    def _commit(
        self,
        ledger: Ledger,
        records: Sequence[Record],
        marks: Mapping[StreamKey, int],
        entries: Sequence[Waiting],
    ) -> None:
        now_us = self._opener.time_us()
        with ledger.transaction():
            if not self._opened:
                ledger.set_marks(self._marks)  # should it be a new one: what was acknowledged stays acknowledged
            new = ledger.add_frames(records)
            raised = ledger.set_marks(marks)
            ledger.add_entries(entries)
            if self.written.commits % FORGET_EVERY == FORGET_EVERY - 1 and ledger.forget():
                ledger.checkpoint("forgotten", now_us)
            due = ledger.since >= self._section.checkpoint_records or (raised and not new)
            if not self._opened:
                ledger.checkpoint("opened", now_us)
            elif due or abs(now_us - self._sealed_us) >= self._section.checkpoint_s * 1e6:
                ledger.checkpoint("regular", now_us)
                expire(ledger, self._section, now_us)
            self._pruning = make_room(ledger, self._section, now_us, under_way=self._pruning)
        if not ledger.since:
            self._sealed_us = now_us
        self._opened = True
        shrink(ledger, self._section)

    # -- when it fails ---------------------------------------------------------------------------------------------

    def _failed(self, error: Exception) -> None:
        """Open it anew with the next batch, for it may have been mended; set it aside where that cannot be."""
        self._let_go()
        text = f"{error}" or type(error).__name__
        self.written = replace(self.written, failures=self.written.failures + 1)
        if is_damage(error) and not isinstance(error, DamagedError):
            try:
                self._replace(error)
            except (OSError, *UNREADABLE, ConfigError) as further:
                text = f"{further}"
            else:
                return
        self._say(text)

    def _say(self, text: str) -> None:
        """Tell of a fault, once."""
        if self.written.fault != text:
            self.written = replace(self.written, fault=text)
            _LOG.error("%s cannot be written: %s; the nodes keep their frames", self._opener.path, text)
            self._tell("memory", {"state": "failed", "why": text})

    def _replace(self, error: BaseException) -> None:
        """Set a damaged database aside, begin anew, and take over what is right.

        Raises
        ------
        TooManyError
            That has been done too often: it stays where it is.
        """
        path = self._opener.path
        aside = self._opener.set_aside(error)
        _LOG.error("%s is damaged (%s): it is now %s, and a new one begins", path, error, aside.name)
        self._tell("memory", {"state": "damaged", "why": f"{error}", "aside": aside.name})
        self.written = replace(self.written, damaged=self.written.damaged + 1)
        ledger = self._open()
        if self._salvage is not None:
            self._end_salvage("given up: the database that it went to was damaged")
        try:
            note_salvage(path, aside)
            self._salvage = Salvage(aside)
        except (*UNREADABLE, ConfigError) as further:
            _LOG.error("%s: nothing of it can be saved: %s", aside, further)
            self._tell("memory", {"state": "lost", "why": f"nothing can be saved: {further}", "aside": aside.name})
            note_salvage(path, None)
        else:
            self._take_marks(ledger, self._salvage)

    def _resume(self, ledger: Ledger) -> None:
        """Go on with what an earlier life had begun to save."""
        aside = noted_salvage(self._opener.path)
        if aside is None or self._salvage is not None:
            return
        try:
            self._salvage = Salvage(aside, last_salvage(ledger, aside))
        except (*UNREADABLE, ConfigError) as error:
            _LOG.error("%s: no more of it can be saved: %s", aside, error)
            note_salvage(self._opener.path, None)
        else:
            self._take_marks(ledger, self._salvage)

    def _take_marks(self, ledger: Ledger, salvage: Salvage) -> None:
        with ledger.transaction():
            ledger.set_marks(salvage.marks())
            ledger.checkpoint("damaged", self._opener.time_us(), salvage=salvage.as_json())

    def _end_salvage(self, how: str) -> None:
        salvage, self._salvage = self._salvage, None
        if salvage is None:
            return
        salvage.close()
        before = self.written
        self.written = replace(before, saved=before.saved + salvage.saved, lost=before.lost + salvage.lost)
        text = f"{salvage.saved} records saved, {salvage.lost} known to be lost; {how}"
        _LOG.warning("%s: %s; the file may be deleted", salvage.aside, text)
        self._tell("memory", {"state": "salvaged", "why": text, "aside": salvage.aside.name})
        note_salvage(self._opener.path, None)

    def _note(self, took_ms: float, *, commits: int | None = None) -> None:
        ledger = self._ledger
        if ledger is None:
            return
        seal = ledger.chains.get(CHECKPOINT)
        self.written = replace(
            self.written,
            records=ledger.records,
            size=used_bytes(ledger.database),
            checkpoint=seal.last if seal is not None else 0,
            head=seal.head.hex() if seal is not None else "",
            commits=self.written.commits if commits is None else commits,
            at_us=self._opener.time_us(),
            took_ms=took_ms,
            fault="",
        )
