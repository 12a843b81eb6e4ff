"""Computes one key for statements that differ only in literals and comments, so that repeats are parsed once.

A key is 16 bytes. Texts with the same key must have the same lineage, so if a literal can name a table, a file or a
column (IDENTIFIER('t'), COPY, PIVOT … IN ('a'), a procedure's body), the key is computed from the unchanged text. So is
the key of a text that is too long or ends within a literal. The regular expressions here recognize literals, never
lineage. They run in the main process, which has no time limit, so each takes linear time and little memory.
"""

from __future__ import annotations

import hashlib
import re

from sqlglot.dialects.dialect import Dialect

from mcpush.sql.session import MAX_PARSED_CHARACTERS

# Literals can matter in a text with one of these. Matched in upper case, anywhere; a false positive costs little.
_LITERALS_MATTER = (
    "IDENTIFIER", "COPY", "UNLOAD", "DIRECTORY", "EXEC", "EXTERNAL", "INPATH", "INFILE", "OPTIONS", "PIVOT", "LOCATION",
    "PROCEDURE", "EXPORT", "_PARTITIONS_", "FILES", "DICT", "JOINGET", "TABLE_CHANGES", "STREAM", "STAGE", "TASK",
    "PIPE", "$$", "://", "'/", "'@", "URL", "NAMED_STRUCT", "ADD_FILES", "SNAPSHOT",
    "SEARCH_PATH",
)  # fmt: skip
# A table function with a literal as first argument, which can be a table name: FROM f('t'), TABLE('t').
_FIRST_ARGUMENT = re.compile(r"\(\s*\?")
_TABLE_FUNCTION = re.compile(r"(?i)\b(?:TABLE|(?:FROM|JOIN|USING|TABLE\s*\()\s*[\w.$!\"`]+)\s*$")
# `re` needs about 200 bytes for each repeat of a group, so repeats are limited: items here, escapes in a literal below.
_IN_LIST = re.compile(r"(?i)\bIN\s*\(\s*\?(?:\s*,\s*\?){1,50000}\s*\)")
_MAX_ESCAPES = 50_000


class Fingerprint:
    """Computes keys for the statements of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        tokenizer = dialect.tokenizer_class
        quotes = {quote if isinstance(quote, str) else quote[0] for quote in tokenizer.QUOTES}
        # Triple-quoted strings can contain single quotes, so such a text is its own key.
        triple = tuple(quote for quote in quotes if len(quote) > 1)
        self._literals_matter = _LITERALS_MATTER + triple
        self._double_is_string = '"' in quotes
        self._has_raw_strings = bool(getattr(tokenizer, "RAW_STRINGS", ()))
        # SELECT a 'name': a string can be a column alias without AS before it.
        self._names_by_string = bool(dialect.parser_class.STRING_ALIASES)
        self._pattern = re.compile(_literal_pattern(dialect), re.DOTALL)

    def key(self, text: str) -> bytes:
        """The key of a statement. It ignores comments and literals, unless literals can matter for lineage."""
        normal = self._normal(text)
        # Two kinds of keys, so that a text that contains `?` never has the key of a text with its literals replaced.
        return digest(text, b"text") if normal is None else digest(normal, b"normal")

    def _normal(self, text: str) -> str | None:
        """The text with `?` for every literal and without comments; None if the key needs the unchanged text."""
        if self._names_by_string or len(text) > MAX_PARSED_CHARACTERS:
            return None
        upper = text.upper()
        for word in self._literals_matter:  # a plain loop for speed: every repeat runs it
            if word in upper:
                return None
        if self._has_raw_strings and ("R'" in upper or 'R"' in upper):
            return None
        try:
            normal = self._pattern.sub(self._replace, text)
        except _OwnKeyError:
            return None
        # Digits in a stage path are not a number: @stage/2026/x.
        if "@" in normal or _names_in_function(normal):
            return None
        return _IN_LIST.sub("IN (?)", normal) if "?," in normal else normal

    def _replace(self, found: re.Match[str]) -> str:
        if found.lastindex is not None:
            raise _OwnKeyError  # no end: the text is truncated or broken
        piece = found.group()
        first = piece[0]
        if first.isdigit():
            return "?"
        if first == "'" or (first == '"' and self._double_is_string):
            start = found.start()
            if found.string[max(0, start - 12) : start].rstrip()[-2:].upper() == "AS":
                raise _OwnKeyError  # SELECT a AS 'name'
            return "?"
        if first in ('"', "`", "["):
            return piece
        if "/*" in piece[2:]:
            raise _OwnKeyError  # the end of a nested comment depends on the dialect
        return " "


class _OwnKeyError(Exception):
    """The key has to be computed from the unchanged text."""


def _names_in_function(normal: str) -> bool:
    return any(
        _TABLE_FUNCTION.search(normal, max(0, found.start() - 200), found.start())
        for found in _FIRST_ARGUMENT.finditer(normal)
    )


def digest(text: str, kind: bytes = b"") -> bytes:
    """A 16-byte hash of a text. The same text has a different hash for each `kind`."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, person=kind).digest()


def _literal_pattern(dialect: Dialect) -> str:
    """A pattern for literals, quoted names and comments. It starts with a character class, so `re` can search fast.

    It has a group only for a literal, name or comment without an end, which extends to the end of the text: otherwise
    every quote in it would be searched for an end again.
    """
    tokenizer = dialect.tokenizer_class
    single, double = (_quoted(quote, "\\" in tokenizer.STRING_ESCAPES) for quote in "'\"")
    number = r"(?<=\d)(?<![\w$.@#:\"`\]]\d)\d*(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])"
    parts = [single, double, r"(?<=`)[^`]*(?:`|())", r"(?<=/)\*.*?(?:\*/|(\Z))", r"(?<=-)-[^\n]*", number]
    comments = {item for item in tokenizer.COMMENTS if isinstance(item, str)} - {"--"}
    parts += [rf"(?<={re.escape(item[0])}){re.escape(item[1:])}[^\n]*" for item in sorted(comments)]
    first = "".join(re.escape(item[0]) for item in sorted(comments))
    return rf"['\"`/\-\d{first}](?:{'|'.join(parts)})"


def _quoted(quote: str, has_backslash: bool) -> str:
    """The pattern for a literal after its first quote. A doubled quote is an escape, and maybe a backslash."""
    plain, escapes = (rf"[^{quote}\\]*", rf"\\.|{quote}{quote}") if has_backslash else (rf"[^{quote}]*", quote * 2)
    return rf"(?<={quote}){plain}(?:(?:{escapes}){plain}){{0,{_MAX_ESCAPES}}}(?:{quote}(?!{quote})|())"
