"""Puts a query's text together from the pieces that SYS_QUERY_TEXT keeps of it."""

from __future__ import annotations

PIECE = 4_000  # characters of text in a row of SYS_QUERY_TEXT


def assembled(pieces: list[str]) -> str:
    """The statement as it was sent.

    Only the blanks behind its end are cut off: CHAR fills the last piece up with them, and what stands at the end of
    another one is the statement's own, and is given back should it be lost. Then backslash, new line and carriage
    return, which the log writes as two characters each, are read; that cannot be done before, as the two may stand in
    two pieces.
    """
    whole = [piece if len(piece.encode("utf-8", errors="replace")) >= PIECE else piece.ljust(PIECE) for piece in pieces]
    return unescaped("".join(whole).rstrip(" "))


def may_be_truncated(text: str) -> bool:
    """Whether the history's own text may be longer than what it keeps: a letter of several bytes may fill its end."""
    text = text.rstrip(" ")
    return len(text) >= PIECE or (not text.isascii() and len(text.encode("utf-8", errors="replace")) >= PIECE - 3)


ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def unescaped(text: str) -> str:
    """The text with its two-character signs read, from the left."""
    if "\\" not in text:
        return text
    parts = text.split("\\")
    out, position = [parts[0]], 1
    while position < len(parts):
        part = parts[position]
        if part:
            out.append(ESCAPES.get(part[0], "\\" + part[0]) + part[1:])
        elif position + 1 < len(parts):  # two backslashes are one, and what follows them is plain
            out.append("\\" + parts[position + 1])
            position += 1
        else:
            out.append("\\")
        position += 1
    return "".join(out)
