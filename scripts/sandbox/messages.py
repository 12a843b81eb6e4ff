"""Messages for people: a name or text of a client cannot send commands to the terminal or forge a line."""

from __future__ import annotations

import argparse
import logging
from typing import NoReturn

TRACEBACK_MARK = "  | "


def printable(text: str) -> str:
    r"""Return the text on one line, with control and invisible characters in the form `\x1b`, `\n` or `\u202e`."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # it repeats arguments


class Formatter(logging.Formatter):
    """Formats a log record on one line, and its traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        lines = [printable(self.formatMessage(record))]
        if record.exc_info:
            lines += [TRACEBACK_MARK + printable(line) for line in self.formatException(record.exc_info).splitlines()]
        return "\n".join(lines)


def start_logging() -> None:
    """Log warnings and errors of all libraries to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
