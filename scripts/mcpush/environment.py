"""Environment variables: removes the line ends that secret stores append, and names variables without their values."""

from __future__ import annotations

import os


def strip_line_ends() -> None:
    """Remove line ends, and nothing else, from both ends of every variable's value, also for drivers."""
    for name, value in os.environ.items():
        stripped = value.strip("\r\n")
        if stripped != value:
            os.environ[name] = stripped


def name_and_length(variable: str) -> str:
    """The variable for a message about its value, which can be a secret that was put into the wrong variable."""
    return f"{variable} ({len(os.environ.get(variable, ''))} characters)"
