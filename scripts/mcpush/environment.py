"""Environment variables: removes the line ends that secret stores append, and checks values without repeating them.

A value can be a secret that was put into the wrong variable. So messages have the variable's name and the length of its
value. Import this module before a driver that reads variables when it is imported: the import removes the line ends.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from mcpush.errors import ConfigurationError

T = TypeVar("T")
HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE | re.ASCII)
SHORTEST_HIDDEN = 8  # characters: shorter values are ordinary words ("dev") more often than secrets


def strip_line_ends() -> None:
    """Remove line ends, and nothing else, from both ends of every variable's value, also for drivers."""
    for name, value in os.environ.items():
        stripped = value.strip("\r\n")
        if stripped != value:
            os.environ[name] = stripped


strip_line_ends()


# --- messages ---------------------------------------------------------------------------------------------


def name_and_length(variable: str) -> str:
    """The variable for a message about its value, which can be a secret that was put into the wrong variable."""
    return f"{variable} ({len(os.environ.get(variable, ''))} characters)"


def hide_values(text: str, variables: Iterable[str]) -> str:
    """A driver's message, with the values of these variables replaced by ``<NAME>``: drivers repeat their arguments."""
    names: dict[str, str] = {}
    for name in variables:
        value = os.environ.get(name, "")
        if len(value) >= SHORTEST_HIDDEN:
            names |= {value: name, repr(value)[1:-1]: name}
    longest_first = sorted(names, key=len, reverse=True)
    pattern = "|".join(f"({re.escape(value)})" for value in longest_first) or r"(?!)"  # without values: no match
    return re.sub(
        pattern, lambda found: f"<{names[longest_first[(found.lastindex or 1) - 1]]}>", text, flags=re.IGNORECASE
    )


# --- checks -----------------------------------------------------------------------------------------------


def checked(setting: str, text: str, parse: Callable[[str], T]) -> T:
    """``parse(text)``. If it raises ValueError, raises ConfigurationError with its message.

    ``setting`` is the variable, or whatever else has the text. The message of the ValueError says what is valid. It
    must not repeat the text, as that of ``int`` does.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{setting} ({len(text)} characters) is not valid: {error}.", "Correct the value (see README.md)."
        ) from None


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """A parser for ``checked``: numbers in this range, written with the digits 0 to 9."""

    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,18}", text) or not lowest <= int(text) <= highest:
            raise ValueError(f"use a whole number from {lowest} to {highest}")
        return int(text)

    return parse


def host_name(text: str) -> str:
    """A parser for ``checked``: a host name or IP address. Refuses URLs, ports, paths and user names."""
    if not HOST_NAME.fullmatch(text) and not _is_bracketed_address(text):
        raise ValueError("use a host name such as db.example.com, without scheme, user, port and path")
    return text


def _is_bracketed_address(text: str) -> bool:
    """Whether it is an IPv6 address as in URLs, ``[::1]``."""
    try:
        return text[:1] + text[-1:] == "[]" and bool(ipaddress.IPv6Address(text[1:-1]))
    except ValueError:
        return False
