"""The harness of Hive for the contract suite: see ``tests/warehouses/harness.py``. Importing it starts nothing.

Metadata comes from a genuine HiveServer2, through a front that checks passwords and fails on request. Query logs and
lineage come from log files, which the harness writes: their scripts connect to nothing.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.warehouses.harness import SECRET_MARK, TRAILING, Credentials, Fault, Flow, Record
from tests.warehouses.model import Model

if TYPE_CHECKING:
    from tests.warehouses.hive.front import Front

flows: Sequence[Flow] = ("metadata", "lineage", "query_logs")
dialect = "hive"
databases: Sequence[str] = ("hive",)

_NO_CONNECTION = "comes from log files: no credentials, no statements, no grants"
_NO_CLOCK = "log files have no clock: windows end by the clock of this machine"
_LOG_FAULTS = "comes from log files: tests/templates/hive/ has truncated and unreadable ones"
_FROM_LOGS: Mapping[str, str] = {
    "sigterm_ends_a_run_cleanly": "comes from log files, which never wait: the library handles signals",
    "every_fault_of_every_statement_has_the_recorded_outcome": _LOG_FAULTS,
    "no_fault_passes_silently": _LOG_FAULTS,
    "a_truncated_result_leaves_no_manifest_or_complete_slices": _LOG_FAULTS,
    "a_user_without_grants_is_refused": _NO_CONNECTION,
    "a_run_is_refused_if_every_view_is_denied": _NO_CONNECTION,
    "a_denied_view_is_counted_or_the_run_is_refused": _NO_CONNECTION,
    "the_readme_names_every_view_that_needs_a_grant": _NO_CONNECTION,
    "only_reads_and_session_settings_are_run": _NO_CONNECTION,
    "every_statement_run_is_a_constant_or_a_session_setting": _NO_CONNECTION,
    "windows_end_by_the_clock_of_the_warehouse": _NO_CLOCK,
}
not_applicable: Mapping[tuple[Flow, str], str] = {
    ("metadata", "names_are_printed_escaped_and_sent_unchanged"): "names are ASCII letters, digits and underscores",
    ("metadata", "memory_does_not_grow_with_tables"): (
        "thousands of tables are read from the metastore database: tests/templates/hive/"
    ),
    **{("lineage", promise): reason for promise, reason in _FROM_LOGS.items()},
    **{("query_logs", promise): reason for promise, reason in _FROM_LOGS.items()},
}
_METASTORE = "in the metastore database: tests/templates/hive/test_metastore.py"
# Statements on the metastore database: names in double quotes, in PostgreSQL and in MySQL with ANSI_QUOTES.
module_dialects: Mapping[str, str] = {"metastore_sql.py": "postgres"}
run_elsewhere: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("VERSION_SQL", "DATABASES_SQL", "DATABASES_OF_CATALOGS_SQL", "TABLES_SQL", "VIEWS_SQL", "COLUMNS_SQL"),
            *("PARTITION_KEYS_SQL", "PARAMETERS_SQL", "VOLUME_PARAMETERS_SQL", "PARTITIONS_SQL"),
        ),
        _METASTORE,
    ),
    "HISTORY_SQL": "where sys.query_history is on: tests/templates/hive/test_query_history_table.py",
}

LONGEST_NAME = 128
UNLIKE_ASCII = str.maketrans({"ß": "ss"})
RIGHT, DENIED = "monte_carlo", "may_read_nothing"
PASSWORDS = {RIGHT: f"r1ght' {SECRET_MARK}{TRAILING}", DENIED: f"den1ed {SECRET_MARK}"}
WRONG_PASSWORD = f"wr0ng {SECRET_MARK}"
NOBODY_LISTENS = "1"  # a port
WORKERS = "2"  # a session costs the local server more than the description of a table


def legal_name(text: str) -> str:
    """The nearest name that is legal for a database, a table and a column: lower case ASCII letters, digits and
    underscores. Columns may have more characters: https://hive.apache.org/docs/latest/language/languagemanual-ddl/
    """
    letters = unicodedata.normalize("NFKD", text.translate(UNLIKE_ASCII))
    without_marks = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return re.sub(r"\W", "_", without_marks.lower(), flags=re.ASCII)[:LONGEST_NAME]


def arguments(flow: Flow) -> Sequence[str]:
    return ()


def expected(model: Model, flow: Flow) -> list[Record]:
    from tests.warehouses.hive import model_records

    return model_records.expected(model, flow)


class Server:
    """The protocol's server. Scripts connect to ``front``, and read logs from ``logs``."""

    def __init__(self, front: Front, logs: Path) -> None:
        self.front, self.logs = front, logs
        self.front.orders.powerless = frozenset({DENIED})
        self.empty()

    # --- connecting -------------------------------------------------------------------------------------

    def environment(self, credentials: Credentials = "right") -> dict[str, str]:
        user = DENIED if credentials == "denied" else RIGHT
        return {
            "HIVE_HOST": "127.0.0.1",
            "HIVE_PORT": str(self.front.port),
            "HIVE_AUTH": "LDAP",
            "HIVE_USER": user,
            "HIVE_PASSWORD": WRONG_PASSWORD if credentials == "wrong" else PASSWORDS[user],
            "HIVE_LOG_PATH": str(self.logs),
            "HIVE_WORKERS": WORKERS,
        }

    def unreachable(self) -> dict[str, str]:
        return self.environment() | {"HIVE_PORT": NOBODY_LISTENS}

    def at(self, host: str) -> dict[str, str]:
        return self.environment() | {"HIVE_HOST": host, "HIVE_SSL": "false"}

    # --- data -------------------------------------------------------------------------------------------

    def empty(self) -> None:
        from tests.warehouses.hive import model_log

        self._clear()
        model_log.write_empty(self._log)

    def fill(self, model: Model) -> None:
        from tests.warehouses.hive import from_model, model_log

        self._clear()
        self.front.server.add(from_model.databases(model), list(from_model.tables(model)))
        model_log.write(model, self._log)

    def _clear(self) -> None:
        self.restore()
        self.front.server.empty()
        self.front.orders.received.clear()

    @property
    def _log(self) -> Path:
        return self.logs / "hive-server2.log"

    # --- faults -----------------------------------------------------------------------------------------

    def deny(self, *views: str) -> None:
        self.front.orders.denied = views

    def deny_all(self) -> None:
        self.front.orders.denies_all = True

    def cut_after(self, rows: int) -> None:
        self.front.orders.rows_left = rows

    def fail(self, statement: str, fault: Fault, after: int = 0) -> None:
        from tests.warehouses.hive import orders

        self.front.orders.faults.append(orders.Fault(statement, fault, after))

    def restore(self) -> None:
        self.front.orders.restore()

    def set_clock(self, ahead: timedelta) -> None:
        """Metadata has no windows, and log files have no clock."""

    # --- observing --------------------------------------------------------------------------------------

    def statements(self) -> Sequence[str]:
        return [each.text for each in self.front.orders.received]


@contextmanager
def start() -> Iterator[Any]:
    from tests.warehouses.hive.front import Front
    from tests.warehouses.hive.shared import shared_server

    with (
        Front(shared_server(), PASSWORDS) as front,
        tempfile.TemporaryDirectory(prefix="hive-logs-") as logs,
    ):
        yield Server(front, Path(logs))
