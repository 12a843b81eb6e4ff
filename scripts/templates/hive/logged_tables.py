"""Follows the tables that logged statements create, rename and drop: temporary tables, and tables that are gone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from lineage_hook import without_comments
from lineage_names import Names
from mcpush.lineage.query_log import Recent
from mcpush.records import Asset, AssetKey
from mcpush.sql import Defaults, extract

_WORD = re.compile(r"\w+")
# https://cwiki.apache.org/confluence/display/Hive/LanguageManual+DDL#LanguageManualDDL-TemporaryTables
_CREATES_TEMPORARY = re.compile(r"(?i)CREATE\s+TEMPORARY\s+(?:EXTERNAL\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.`]+)")
_WRITTEN = re.compile(r"(?i)\b(?:INTO|TABLE)\s+(?!TABLE\b|IF\b)([\w.`]+)")
MAX_SESSIONS = 20_000  # sessions whose temporary tables are remembered
MAX_NAMES = 100_000  # of temporary tables
MAX_CHARACTERS = 2_000  # of DROP and ALTER … RENAME statements, which are parsed in this process
DISORDER = timedelta(minutes=5)  # within the log of one server


class LoggedTables:
    """What is known about tables at this point of the log."""

    def __init__(self, names: Names) -> None:
        self.renamed: dict[tuple[Asset, Asset], None] = {}  # old and new name, in order
        self._names = names
        self._temporaries: Recent[str, set[str]] = Recent(MAX_SESSIONS)
        self._temporary_names: Recent[str, bool] = Recent(MAX_NAMES)  # in any session
        self._unassigned: dict[str, set[str | None]] = {}  # name → schemas
        self._gone: dict[str, set[AssetKey]] = {}  # by name: dropped or renamed, and not written again
        self._latest: datetime | None = None
        self._is_ordered = True

    # -- temporary tables

    def uses_temporary(self, session: str, text: str, defaults: Defaults, *, is_known: bool) -> bool:
        """Whether a statement names a temporary table of its session, or creates one.

        The hook records temporary tables as if they were permanent, and leaves them out as sources. ``is_known`` is
        False if the log does not show the session: other statements of the session cannot be told apart.
        """
        names = self._temporaries.get(session) or set()
        if created := _CREATES_TEMPORARY.match(text):
            *schema, name = created[1].replace("`", "").lower().split(".")
            names.add(name)
            self._temporary_names[name] = True
            self._temporaries[session] = names
            if not is_known:
                self._unassigned.setdefault(name, set()).add(schema[0] if schema else defaults.schema)
        if not names and (is_known or not self._unassigned):
            return False
        words = _words(text)
        return not names.isdisjoint(words) or (not is_known and not words.isdisjoint(self._unassigned))

    def is_unassigned(self, asset: Asset) -> bool:
        """Whether this can be a temporary table of a session that the log does not show."""
        return asset.schema in self._unassigned.get(asset.name, ())

    def was_temporary(self, name: str) -> bool:
        """Whether a statement so far created a temporary table with this name, in any session."""
        return bool(self._temporary_names.get(name))

    def writes_only_temporary(self, session: str, text: str) -> bool:
        """Whether all tables that a statement writes or drops are temporary tables of its session."""
        names = self._temporaries.get(session) or set()
        written = {found[1].replace("`", "").rpartition(".")[2].lower() for found in _WRITTEN.finditer(text)}
        return bool(_CREATES_TEMPORARY.match(text)) or (bool(written) and written <= names)

    # -- tables that are gone

    def note(self, text: str, verb: str, defaults: Defaults, at: datetime) -> None:
        """Notes the tables that a statement drops or renames. They exist again if a later statement can name them.

        The logs of several servers come one after the other, so their order is unknown, and no table counts as gone.
        """
        if self._latest is None or at > self._latest:
            self._latest = at
        elif at < self._latest - DISORDER:
            self._is_ordered = False
        if verb not in ("DROP", "ALTER") or not self._note_gone(text, defaults):
            self._revive(_words(text) if self._gone else set(), defaults.schema)

    def _note_gone(self, text: str, defaults: Defaults) -> bool:
        """Notes what DROP or ALTER … RENAME removes. Returns False for another statement."""
        found = extract(text, "hive", defaults, self._names.schema).lineages if len(text) <= MAX_CHARACTERS else ()
        for lineage in found:
            if lineage.target is None or not lineage.target.schema or lineage.kind not in ("drop", "rename"):
                return False
            target = self._names.asset(lineage.target)
            if lineage.kind == "drop":
                self._gone.setdefault(target.name, set()).add(target.key)
            for old in lineage.sources:
                self._rename(self._names.asset(old), target)
        return bool(found)

    def _revive(self, words: set[str], schema: str | None) -> None:
        """Tables with a name that a statement contains exist again, if it can be a table of their schema."""
        for name in words & self._gone.keys():
            keys = self._gone.pop(name)
            if rest := {key for key in keys if schema not in (None, key[1]) and key[1] not in words}:
                self._gone[name] = rest

    def _rename(self, old: Asset, new: Asset) -> None:
        self._gone.get(new.name, set()).discard(new.key)
        self._gone.setdefault(old.name, set()).add(old.key)
        self.renamed[old, new] = None

    def exists(self, asset: Asset) -> bool:
        return not self._is_ordered or asset.key not in self._gone.get(asset.name, ())


def creates_temporary(text: str) -> bool:
    return bool(_CREATES_TEMPORARY.match(without_comments(text)))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
