"""Escapes characters that change how a terminal or log shows a text.

A name, error text or response can contain terminal commands, line ends that forge a log line, and marks that reverse
or hide the text after them.
"""

from __future__ import annotations

import re

# Zero-width joiners (U+200C, U+200D) are not escaped: names in Persian, Hindi and emoji contain them.
_UNSAFE = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters of ASCII (without tab and newline) and Latin-1
    r"\u00ad\u200b\u2060-\u2065\ufeff"  # invisible
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # writing direction
    r"\u2028\u2029\ufff9-\ufffb"  # line and paragraph separators, annotations
    r"\ud800-\udfff"  # not valid on their own
    r"\U000e0000-\U000e007f"  # invisible copies of ASCII
)
_IN_BLOCK = re.compile(f"[{_UNSAFE}]")
_IN_LINE = re.compile(f"[\t\n{_UNSAFE}]")


def escape_line(text: str) -> str:
    r"""The text on one line, with control and invisible characters in the form ``\x1b``, ``\n`` or ``\u202e``."""
    return _IN_LINE.sub(_escape, text)


def escape_block(text: str) -> str:
    """As ``escape_line``, but tabs and line ends stay."""
    return _IN_BLOCK.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
