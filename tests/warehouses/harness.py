"""What a warehouse gives the contract suite, in ``tests/warehouses/<name>/harness.py``: a module that has what
:class:`Harness` lists, under these names.

The suite (tests/contract/) knows no warehouse. It makes a neutral ``Model`` (tests/warehouses/model.py), has the
harness fill its server with it, runs the scripts of the template folder, and compares.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, cast

from tests.warehouses.model import Model

Flow = Literal["metadata", "lineage", "query_logs"]
Credentials = Literal["right", "wrong", "denied"]
# What may happen to a statement. "slow" is answered, correctly, after a few seconds.
Fault = Literal["denied", "session ended", "connection gone", "timeout", "slow"]
Record = dict[str, Any]


class Server(Protocol):
    """A running local server. It returns rows in another order each time unless a statement has ORDER BY."""

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        """The variables that lead a script to this server.

        ``wrong``: a password (key, token) that the server refuses. ``denied``: a user who may sign in and read nothing.
        Every secret among them contains ``SECRET_MARK``, which must not appear in any output.
        """
        ...

    def unreachable(self) -> dict[str, str]:
        """Variables as in ``environment()`` that lead to a port where nothing listens."""
        ...

    def empty(self) -> None:
        """A warehouse as new: no tables, no queries; what ``deny``, ``cut_after`` and ``fail`` ordered is lifted."""
        ...

    def fill(self, model: Model) -> None:
        """``empty``, then all that the model holds, in shuffled order."""
        ...

    def deny(self, *views: str) -> None:
        """Refuse the right user these views or commands, named as in ``catalog.toml``, in place of those before.

        With the words and the code that the warehouse has for a missing right. Without arguments nothing is denied.
        """
        ...

    def deny_all(self) -> None:
        """Refuse the right user every documented view and command."""
        ...

    def cut_after(self, rows: int) -> None:
        """Break the connection in the middle of a result, once this many rows of the next runs were handed out."""
        ...

    def fail(self, statement: str, fault: Fault, after: int = 0) -> None:
        """Let each statement that contains this text meet the fault, after so many were answered well."""
        ...

    def restore(self) -> None:
        """Lift what ``deny``, ``deny_all``, ``cut_after`` and ``fail`` ordered; the data stay."""
        ...

    def statements(self) -> Sequence[str]:
        """Every statement since the last ``empty`` or ``fill``, in order, as it reached the server."""
        ...


class Harness(Protocol):
    """The module ``harness.py`` of a warehouse. Importing it is cheap: no server, no driver."""

    flows: Sequence[Flow]
    """The flows that the folder has scripts for."""

    dialect: str
    """The name of its SQL in sqlglot, for checking its statements and for quoting names."""

    databases: Sequence[str]
    """The databases (catalogs, projects) that a model's tables lie in: two where the source has several."""

    not_applicable: Mapping[tuple[Flow, str], str]
    """(flow, promise) → why the source cannot keep or break it. A promise is named like its test, without ``test_``.
    Printed at the end of the suite."""

    run_elsewhere: Mapping[str, str]
    """Name of a ``_SQL`` constant that no run of the suite sends → where it is tested. May be left out."""

    def legal_name(self, text: str) -> str:
        """The nearest name to this text that the source allows for a schema, a table and a column, quoted."""
        ...

    def arguments(self, flow: Flow) -> Sequence[str]:
        """Options that a collect script needs besides --manifest, --since and --until."""
        ...

    def expected(self, model: Model, flow: Flow) -> list[Record]:
        """Every record of the flow's manifest for this model, whole, in any order: the warehouse's truth, worked out
        from the model and never by the code under test."""
        ...

    def start(self) -> AbstractContextManager[Server]:
        """Start the server, empty; end it on leaving."""
        ...


# Stands in every secret that a harness makes, so that a test can look for it in whatever a script wrote.
SECRET_MARK = "c4nary"


def harness(name: str) -> Harness:
    """The harness of a warehouse. Raises ModuleNotFoundError where there is none."""
    return cast(Harness, importlib.import_module(f"tests.warehouses.{name}.harness"))
