"""Joins the segments of a query text in SYS_QUERY_TEXT."""

from __future__ import annotations

SEGMENT_LENGTH = 4_000  # characters of text in a row of SYS_QUERY_TEXT


def join_segments(segments: list[str]) -> str:
    """Returns the statement as it was sent.

    Removes only the blanks at the end of the statement, which CHAR adds to the last segment. Trailing blanks of other
    segments belong to the statement and are restored if they were lost. Escapes (backslash, new line and carriage
    return are two characters each) are replaced after joining, because one can be split across two segments.
    """
    padded = [
        segment if len(segment.encode("utf-8", errors="replace")) >= SEGMENT_LENGTH else segment.ljust(SEGMENT_LENGTH)
        for segment in segments
    ]
    return unescaped("".join(padded).rstrip(" "))


def may_be_truncated(text: str) -> bool:
    """Whether SYS_QUERY_HISTORY could have truncated this text. The limit can fall within a multi-byte character."""
    text = text.rstrip(" ")
    return len(text) >= SEGMENT_LENGTH or (
        not text.isascii() and len(text.encode("utf-8", errors="replace")) >= SEGMENT_LENGTH - 3
    )


ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def unescaped(text: str) -> str:
    """Returns the text with its escapes replaced, from left to right."""
    if "\\" not in text:
        return text
    parts = text.split("\\")
    out, position = [parts[0]], 1
    while position < len(parts):
        part = parts[position]
        if part:
            out.append(ESCAPES.get(part[0], "\\" + part[0]) + part[1:])
        elif position + 1 < len(parts):  # two backslashes are one, and the next character is literal
            out.append("\\" + parts[position + 1])
            position += 1
        else:
            out.append("\\")
        position += 1
    return "".join(out)
