"""The interface between a warehouse and the contract suite: ``tests/warehouses/<name>/harness.py`` is a module with the
attributes of :class:`Harness`.

The suite (tests/contract/) does not depend on any warehouse. It creates a neutral ``Model``
(tests/warehouses/model.py), has the harness fill its server with it, runs the scripts of the template folder, and
compares the results.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from tests.warehouses.model import Model

Flow = Literal["metadata", "lineage", "query_logs"]
Credentials = Literal["right", "wrong", "denied"]
# How a statement can fail. "slow" returns the right response after a few seconds.
Fault = Literal["denied", "session ended", "connection gone", "timeout", "slow"]
Record = dict[str, Any]


class Server(Protocol):
    """A running local server. It returns rows in random order unless a statement has ORDER BY."""

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        """The variables with which a script connects to this server.

        ``wrong``: a password (key, token) that the server refuses. ``denied``: a user who can sign in but cannot read
        anything. Every secret contains ``SECRET_MARK``, which must not appear in any output. The right password ends in
        ``TRAILING``, which is part of it.
        """
        ...

    def unreachable(self) -> dict[str, str]:
        """Variables as in ``environment()``, but for a port on which no server listens."""
        ...

    def at(self, host: str) -> dict[str, str]:
        """Variables as in ``environment()`` for an unencrypted connection to this host, which need not be valid."""
        ...

    def empty(self) -> None:
        """Reset the warehouse: no tables, no queries, and no effects of ``deny``, ``cut_after`` and ``fail``."""
        ...

    def fill(self, model: Model) -> None:
        """Call ``empty``, then insert the contents of the model in random order."""
        ...

    def deny(self, *views: str) -> None:
        """Deny the right user these views or commands, named as in ``catalog.toml``. Replaces previous denials.

        The error has the warehouse's message and code for a missing grant. Without arguments nothing is denied.
        """
        ...

    def deny_all(self) -> None:
        """Deny the right user every documented view and command."""
        ...

    def cut_after(self, rows: int) -> None:
        """Break the connection in the middle of a result, after the next runs have received this many rows."""
        ...

    def fail(self, statement: str, fault: Fault, after: int = 0) -> None:
        """Apply the fault to each statement that contains this text, after ``after`` of them have succeeded."""
        ...

    def set_clock(self, ahead: timedelta) -> None:
        """Set the warehouse's clock ahead of this machine's, or behind it if negative. The data stay."""
        ...

    def restore(self) -> None:
        """Undo ``deny``, ``deny_all``, ``cut_after``, ``fail`` and ``set_clock``. The data stay."""
        ...

    def statements(self) -> Sequence[str]:
        """Every statement since the last ``empty`` or ``fill``, in order, as the server received it."""
        ...


class Harness(Protocol):
    """The module ``harness.py`` of a warehouse. Importing it is cheap: it loads no server and no driver."""

    flows: Sequence[Flow]
    """The flows that the folder has scripts for."""

    dialect: str
    """The name of its SQL dialect in sqlglot, for checking its statements and for quoting names."""

    databases: Sequence[str]
    """The databases (catalogs, projects) of a model's tables: two if the source supports several."""

    not_applicable: Mapping[tuple[Flow, str], str]
    """(flow, promise) → why the source cannot keep or break it. A promise is named like its test, without ``test_``.
    The suite prints these at its end.
    """

    module_dialects: Mapping[str, str]
    """File name of a module whose statements run in another database → that database's dialect. Optional."""

    run_elsewhere: Mapping[str, str]
    """Name of a ``_SQL`` constant that no run of the suite sends → where it is tested. Optional."""

    def legal_name(self, text: str) -> str:
        """The nearest name to this text that the source allows for a schema, a table and a column, if quoted."""
        ...

    def arguments(self, flow: Flow) -> Sequence[str]:
        """Options that a collect script needs in addition to --manifest, --since and --until."""
        ...

    def expected(self, model: Model, flow: Flow) -> list[Record]:
        """Every complete record of the flow's manifest for this model, in any order. Derived from the model, never by
        the code under test.
        """
        ...

    def start(self) -> AbstractContextManager[Server]:
        """Start an empty server. It ends when the context exits."""
        ...


def dialect_of(found: Harness, module: Path) -> str:
    """The dialect of the statements in a module of a template folder."""
    dialects: Mapping[str, str] = getattr(found, "module_dialects", {})
    return dialects.get(module.name, found.dialect)


# The end of the right password: scripts remove line ends from variables, and nothing else.
TRAILING = " \t"
# Every secret that a harness creates contains this text, so that tests can search for it in all output.
SECRET_MARK = "c4nary"


def harness(name: str) -> Harness:
    """The harness of a warehouse. Raises ModuleNotFoundError if there is none."""
    return cast(Harness, importlib.import_module(f"tests.warehouses.{name}.harness"))
