"""Tests what the lines of a log say about statements: text, session, user, database, start, end and outcome.

The lines have the texts of Hive's source. test_log_recordings.py reads logs that servers wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.templates.hive.reading_logs import (
    BACKGROUND,
    HANDLER,
    ID,
    OTHER_ID,
    OTHER_SESSION,
    SESSION,
    WITH_SESSION,
    Reader,
    at,
    failed,
    line,
    reader,
    statement,
)

COMPILING = f"Compiling command(queryId={ID}): "
COMPILED = f"Completed compiling command(queryId={ID}); Time taken: 0.05 seconds"
EXECUTING = f"Executing command(queryId={ID}): "
EXECUTED = f"Completed executing command(queryId={ID}); Time taken: 2.0 seconds"
PERFLOG = "</PERFLOG method=Driver.execute start=1 end=2 duration=1 from=org.apache.hadoop.hive.ql.Driver>"

NO_END = "statement without an end in the logs: it still runs, or the server stopped"
NO_START = "statement without a start in the logs: they do not have its text"
NO_ID_FAILURE = "FAILED line that belongs to no known statement"
NEVER_RAN = "statement that was compiled but not executed: its outcome is unknown"
CONSOLE_LINES = "lines of a console behind the text of a statement, removed"


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Reader]:
    with reader(tmp_path) as found:
        yield found


def test_a_statement_has_everything_that_the_log_says(logs: Reader) -> None:
    read = logs.read(
        line(0, "Client protocol version: HIVE_CLI_SERVICE_PROTOCOL_V10", HANDLER, "thrift.ThriftCLIService")
        + line(0, "Creating Hive session handle for user [ana] from IP 10.0.0.7", HANDLER, "thrift.ThriftCLIService")
        + line(0, f"Session opened, SessionHandle [{SESSION}], current sessions:1", HANDLER, "service.CompositeService")
        + statement(1, "USE sales", OTHER_ID, took=0.25)
        + statement(10, "SELECT 1", took=2.5)
    )
    assert read.queries[1] == {
        "id": ID,
        "thread": BACKGROUND,
        "session": SESSION,
        "user": "ana",
        "database": "sales",
        "start": at(10),
        "end": at(12.5),
        "status": "finished",
        "error": None,
        "text": "SELECT 1",
        "is_whole": True,
    }
    assert (read.column("database")[0], read.skipped) == (None, {})


# --- outcomes ---------------------------------------------------------------------------------------------------


def test_a_statement_that_does_not_compile_has_failed(logs: Reader) -> None:
    error = "SemanticException [Error 10001]: Line 1:14 Table not found 'missing'"
    trace = "org.apache.hadoop.hive.ql.parse.SemanticException: Line 1:14\n\tat Hive.x(Hive.java:1)\nFAILED: other\n"
    read = logs.read(
        line(0, COMPILING + "SELECT * FROM missing") + failed(1, error, WITH_SESSION) + trace + line(2, COMPILED)
    )
    assert (read.only["status"], read.only["error"]) == ("failed", f"FAILED: {error}")
    assert (read.only["end"], read.skipped) == (at(2), {})


def test_completed_executing_is_not_success(logs: Reader) -> None:
    error = "Execution Error, return code 2 from org.apache.hadoop.hive.ql.exec.tez.TezTask"
    lines = statement(0, "SELECT 1").splitlines(keepends=True)
    read = logs.read("".join([*lines[:3], failed(1, error), *lines[3:]]))
    assert (read.only["status"], read.only["error"], read.only["end"]) == ("failed", f"FAILED: {error}", at(2))


def test_a_failure_belongs_to_the_statement_of_its_thread(logs: Reader) -> None:
    other = "HiveServer2-Background-Pool: Thread-45"
    first, second = (
        statement(0, "SELECT 1"),
        statement(0, "SELECT 2", OTHER_ID, OTHER_SESSION).replace(BACKGROUND, other),
    )
    starts = "".join(text.rpartition("2026-")[0] for text in (first, second))
    ends = "".join(text[len(text.rpartition("2026-")[0]) :] for text in (first, second))
    read = logs.read(starts + failed(1, "Execution Error, return code 1", other) + ends)
    assert dict(zip(read.column("text"), read.column("status"), strict=True)) == {
        "SELECT 1": "finished",
        "SELECT 2": "failed",
    }


def test_a_failure_of_a_task_that_a_backup_task_replaces_is_none(logs: Reader) -> None:
    lines = statement(0, "SELECT 1").splitlines(keepends=True)
    backup = line(1, "ATTEMPT: Execute BackupTask: org.apache.hadoop.hive.ql.exec.mr.MapRedTask", BACKGROUND)
    read = logs.read("".join([*lines[:3], failed(1, "Execution Error, return code 1"), backup, *lines[3:]]))
    assert (read.only["status"], read.only["error"]) == ("finished", None)


def test_a_failure_after_the_end_changes_nothing(logs: Reader) -> None:
    read = logs.read(statement(0, "SELECT 1") + failed(3, "Error in acquiring locks"))
    assert (read.only["status"], read.only["end"]) == ("finished", at(2))
    assert read.skipped == {NO_ID_FAILURE: 1}


def test_a_statement_without_a_lock_has_failed_if_its_thread_says_so(logs: Reader) -> None:
    lock = "Error in acquiring locks: Lock acquisition cancelled"
    read = logs.read(line(0, COMPILING + "SELECT 1") + line(1, COMPILED) + failed(30, lock, WITH_SESSION))
    assert (read.only["status"], read.only["end"]) == ("failed", at(30))


def test_a_failure_on_a_thread_without_a_statement_is_counted(logs: Reader) -> None:
    """Such as that of a lock in the background: nothing joins it to the statement."""
    removed = f"Removed queryId: {ID} corresponding to operation: OperationHandle [opType=EXECUTE_STATEMENT]"
    read = logs.read(
        line(0, COMPILING + "SELECT 1")
        + line(1, COMPILED)
        + failed(30, "Error in acquiring locks")
        + line(31, removed, logger="operation.OperationManager")
    )
    assert (read.queries, read.skipped) == ([], {NO_ID_FAILURE: 1, NEVER_RAN: 1})


@pytest.mark.parametrize(
    ("lines", "status", "end"),
    [
        (
            line(1, f"Successfully cancelled the query: {ID}", logger="operation.SQLOperation")
            + failed(2, "Operation cancelled")
            + line(3, f"Executing command(queryId={ID}) has been interrupted after 3.0 seconds", BACKGROUND),
            "canceled",
            at(3),
        ),
        (failed(2, "Operation cancelled") + line(2, EXECUTED, BACKGROUND), "canceled", at(2)),
        (line(4, f"The running operation has been successfully interrupted: {ID}"), "canceled", at(4)),
        (
            line(5, f"Query timed out after: 5 seconds. Cancelling the execution now: {ID}", "pool-1-thread-1")
            + line(6, f"Executing command(queryId={ID}) has been interrupted after 6.0 seconds", BACKGROUND),
            "timed out",
            at(6),
        ),
        (line(1, f"Cancelling the query execution: {ID}") + line(2, EXECUTED, BACKGROUND), "finished", at(2)),
        (line(2, EXECUTED, BACKGROUND) + line(9, f"Successfully cancelled the query: {ID}"), "finished", at(2)),
    ],
    ids=["canceled", "canceled in a task", "closed", "timed out", "too late", "closed after its end"],
)
def test_a_canceled_statement_has_not_failed(logs: Reader, lines: str, status: str, end: object) -> None:
    start = line(0, COMPILING + "SELECT 1") + line(0, COMPILED) + line(0, EXECUTING + "SELECT 1", BACKGROUND)
    read = logs.read(start + lines)
    assert (read.only["status"], read.only["end"], read.only["text"]) == (status, end, "SELECT 1")


def test_interrupted_is_not_a_start(logs: Reader) -> None:
    read = logs.read(
        line(0, COMPILING + "SELECT 1")
        + line(3, f"Compiling command(queryId={ID}) has been interrupted after 3.0 seconds")
    )
    assert (read.only["text"], read.only["status"], read.only["end"]) == ("SELECT 1", "canceled", at(3))


def test_a_statement_that_is_compiled_or_executed_again_is_one(logs: Reader) -> None:
    """Its first start and text, its last outcome and end."""
    again = line(3, "Preparing to re-execute query", BACKGROUND, "reexec.ReExecDriver")
    lines = statement(0, "SELECT 1").splitlines(keepends=True)
    first = "".join([*lines[:3], failed(1, "Execution Error, return code 2"), *lines[3:]])
    second = "".join(statement(5, "SELECT /* again */ 1").splitlines(keepends=True)[2:])
    read = logs.read(first + again + line(4, "Execution #2 of query", BACKGROUND, "reexec.ReExecDriver") + second)
    only = read.only
    assert (only["text"], only["start"], only["end"]) == ("SELECT 1", at(0), at(7))
    assert (only["status"], only["error"]) == ("finished", None)


def test_statements_compiled_in_the_background_have_their_session_from_the_line_that_removes_them(logs: Reader) -> None:
    lines = statement(0, "SELECT 1", session=None).replace(HANDLER, BACKGROUND)
    removed = line(3, f"Removed queryId: {ID} corresponding to operation: x", logger="operation.OperationManager")
    assert logs.read(lines + removed).only["session"] == SESSION


# --- Hive 1.x ---------------------------------------------------------------------------------------------------


def test_hive_1_logs_a_start_and_a_performance_line(logs: Reader) -> None:
    start = line(0, "Parsing command: SELECT 1", HANDLER, "parse.ParseDriver") + line(
        1, f"Starting command(queryId={ID}): SELECT 1", BACKGROUND
    )
    read = logs.read(start + line(3, PERFLOG, BACKGROUND, "log.PerfLogger"))
    assert (read.only["text"], read.only["start"], read.only["end"]) == ("SELECT 1", at(1), at(3))
    assert (read.only["id"], read.only["status"]) == (ID, "finished")


def test_hive_0_13_logs_no_id(logs: Reader) -> None:
    other = "HiveServer2-Background-Pool: Thread-45"
    read = logs.read(
        line(0, "Starting command: SELECT 1", BACKGROUND)
        + line(1, "Starting command: SELECT 2", other)
        + failed(2, "Execution Error, return code 2", other)
        + line(3, PERFLOG, other, "log.PerfLogger")
        + line(4, PERFLOG, BACKGROUND, "log.PerfLogger")
    )
    found = [(query["id"], query["text"], query["end"], query["status"]) for query in read.queries]
    assert found == [(None, "SELECT 2", at(3), "failed"), (None, "SELECT 1", at(4), "finished")]


def test_the_performance_line_is_not_the_end_in_newer_versions(logs: Reader) -> None:
    lines = statement(0, "SELECT 1").splitlines(keepends=True)
    read = logs.read("".join([*lines[:3], line(1, PERFLOG, BACKGROUND, "log.PerfLogger"), *lines[3:]]))
    assert read.only["end"] == at(2)


# --- texts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id,\n       note -- (queryId=x): y\nFROM t\n\nWHERE day = '\n2026-03-02 10:00:00'",
        "SELECT 'Executing command(queryId=other_1): x'",
        "SELECT '\tünï \U0001f600 \\n', \"[a] b: c\", `d``e`",
        "SELECT 1\n2026-03-02 10:00:00 AS t",
    ],
    ids=["lines", "marker", "characters", "a line that starts with a time"],
)
def test_texts_are_complete(logs: Reader, text: str) -> None:
    read = logs.read(statement(0, text))
    assert (read.only["text"], read.skipped) == (text, {})


def test_a_text_can_start_on_the_next_line(logs: Reader) -> None:
    assert logs.read(statement(0, "\n  SELECT 1\n")).only["text"] == "SELECT 1"
    assert logs.read(statement(0, "SELECT 2").replace("): SELECT", "):\nSELECT")).only["text"] == "SELECT 2"


def test_lines_of_the_console_are_not_sql(logs: Reader) -> None:
    """Both copies of the text tell what they have in common; known lines are removed from a single one."""
    lines = statement(0, "SELECT 1\nFROM t").splitlines(keepends=True)
    both = "".join([*lines[:5], "some output\n", *lines[5:]])
    read = logs.read(both)
    assert (read.only["text"], read.skipped) == ("SELECT 1\nFROM t", {})
    raw = "Query ID = hive_1\nTotal jobs = 3\nLaunching Job 1 out of 3\n"
    read = logs.read(line(0, COMPILING + "SELECT 3") + raw + failed(1, "x", WITH_SESSION) + line(1, COMPILED))
    assert (read.only["text"], read.skipped) == ("SELECT 3", {CONSOLE_LINES: 1})


def test_output_behind_the_first_copy_is_removed_too(logs: Reader) -> None:
    lines = statement(0, "SELECT 1").splitlines(keepends=True)
    assert logs.read("".join([lines[0], "some output\n", *lines[1:]])).only["text"] == "SELECT 1"


def test_bytes_that_are_not_utf_8_are_replaced(logs: Reader) -> None:
    content = statement(0, "SELECT '\0?'").encode().replace(b"?", b"\xff")
    assert logs.read(content).only["text"] == "SELECT '\0\ufffd'"


# --- users, sessions and databases --------------------------------------------------------------------------------


def opened(seconds: float, *lines: str, session: str = SESSION) -> str:
    """The lines of a session that is opened."""
    start = line(seconds, "Client protocol version: HIVE_CLI_SERVICE_PROTOCOL_V10", HANDLER, "thrift.ThriftCLIService")
    end = line(
        seconds, f"Session opened, SessionHandle [{session}], current sessions:1", HANDLER, "service.CompositeService"
    )
    return start + "".join(line(seconds, each, HANDLER, "x.Y") for each in lines) + end


PROXY = "RetryingMetaStoreClient proxy=class X ugi=bea (auth:PROXY) via hive (auth:SIMPLE) retries=1"
CREATING = "Creating Hive session handle for user [{}] from IP 10.0.0.7"


@pytest.mark.parametrize(
    ("lines", "user"),
    [
        (opened(0, CREATING.format("ana@EXAMPLE.COM")), "ana@EXAMPLE.COM"),
        (opened(0, CREATING.format("null")), None),
        (opened(0, CREATING.format("")), None),
        (opened(0, CREATING.format("knox"), PROXY), "bea"),
        (opened(0, PROXY), "bea"),
        (opened(0, "RetryingMetaStoreClient proxy=class X ugi=hive (auth:SIMPLE) retries=1"), None),
        (line(0, PROXY, HANDLER) + opened(1), None),
        (line(0, PROXY, HANDLER) + "".join(opened(1).splitlines(keepends=True)[1:]), None),
        (opened(0, CREATING.format("other"), session=OTHER_SESSION) + opened(0), None),
        (
            line(0, f"Connected: sessionId={SESSION} user=mapr ip=10.0.0.7", HANDLER, "session.HiveSessionImpl.audit"),
            "mapr",
        ),
        (line(0, f'{{"repo":"hive","reqUser":"cid","sess":"{SESSION}","access":"SELECT"}}', HANDLER, "xaaudit"), "cid"),
    ],
    ids=[
        *(
            "client",
            "null",
            "empty",
            "proxy of a client",
            "proxy",
            "server",
            "before the session",
            "without its start",
            "other session",
        ),
        *("MapR", "Ranger"),
    ],
)
def test_the_user_is_the_one_who_opened_the_session(logs: Reader, lines: str, user: str | None) -> None:
    assert logs.read(lines + statement(5, "SELECT 1")).only["user"] == user


def test_the_database_is_that_of_the_last_use_in_the_session(logs: Reader) -> None:
    lines = (
        statement(0, "SELECT 1", "q_1")
        + statement(10, "USE `Sales`;", "q_2")
        + statement(20, "SELECT 2", "q_3")
        + statement(20, "SELECT 3", "q_4", OTHER_SESSION)
        + statement(30, "use mart", "q_5", OTHER_SESSION)
        + statement(40, "SELECT 4", "q_6")
        + statement(40, "SELECT 5", "q_7", OTHER_SESSION)
    )
    read = logs.read(lines)
    assert dict(zip(read.column("text"), read.column("database"), strict=True)) == {
        "SELECT 1": None,
        "USE `Sales`;": None,
        "SELECT 2": "sales",
        "SELECT 3": None,
        "use mart": None,
        "SELECT 4": "sales",
        "SELECT 5": "mart",
    }


def test_a_use_that_failed_changes_nothing(logs: Reader) -> None:
    use = statement(10, "USE nowhere", "q_1").splitlines(keepends=True)
    lines = statement(0, "USE sales", "q_0") + "".join([*use[:3], failed(11, "x"), *use[3:]])
    assert logs.read(lines + statement(20, "SELECT 1")).column("database") == [None, "sales", "sales"]


@pytest.mark.parametrize(
    ("use", "database"),
    [
        ("-- a; USE b\nUSE mart", "mart"),
        ("/* {'app': 'dbt'} */ use `mart` -- c", "mart"),
        ("/* a * b **/\n/**/USE mart /* d */ ;", "mart"),
        ("USE /* why */ mart", None),
        ("USE other.mart", None),
        ("USER mart", "sales"),
        ("SELECT 'USE mart'", "sales"),
    ],
)
def test_a_use_has_comments_or_makes_the_database_unknown(logs: Reader, use: str, database: str | None) -> None:
    read = logs.read(statement(0, "USE sales", "q_1") + statement(10, use, "q_2") + statement(20, "SELECT 1", "q_3"))
    assert read.column("database") == [None, "sales", database]


def test_a_use_that_was_canceled_makes_the_database_unknown(logs: Reader) -> None:
    use = statement(10, "USE mart", "q_2").splitlines(keepends=True)
    canceled = line(11, "Successfully cancelled the query: q_2", HANDLER, "operation.SQLOperation")
    read = logs.read(
        statement(0, "USE sales", "q_1") + "".join([*use[:3], canceled, *use[3:]]) + statement(20, "SELECT 1", "q_3")
    )
    assert read.column("database") == [None, "sales", None]


OPERATION = (
    "[opType=EXECUTE_STATEMENT, queryId={}, startTime=1772445600000, sessionId={}, createTime=1772445600000, "
    "userName={}, ipAddress=10.0.0.7]"
)


@pytest.mark.parametrize(("name", "user"), [("ana", "ana"), ("a, b] x", "a, b] x"), ("null", "knox"), ("", "knox")])
def test_the_line_before_a_statement_names_its_session_and_user(logs: Reader, name: str, user: str) -> None:
    """Hive 4. The name is that after impersonation; the one who opened the session is only the client's."""
    before = line(5, OPERATION.format(ID, SESSION, name), HANDLER, "operation.Operation")
    read = logs.read(opened(0, CREATING.format("knox")) + before + statement(5, "SELECT 1", session=None))
    assert (read.only["session"], read.only["user"]) == (SESSION, user)


def test_statements_that_never_start_do_not_fill_the_memory(logs: Reader) -> None:
    lines = "".join(
        line(0, OPERATION.format(f"q_{number}", SESSION, "ana"), HANDLER, "operation.Operation")
        for number in range(10_001)
    )
    read = logs.read(lines + statement(5, "SELECT 1", "q_0", None) + statement(5, "SELECT 2", "q_1", None))
    assert dict(zip(read.column("text"), read.column("session"), strict=True)) == {
        "SELECT 1": None,
        "SELECT 2": SESSION,
    }


def test_the_database_of_a_statement_is_that_at_its_start(logs: Reader) -> None:
    read = logs.read(statement(0, "SELECT 1", took=20) + statement(5, "USE mart", "q_2", took=1))
    assert dict(zip(read.column("text"), read.column("database"), strict=True)) == {"SELECT 1": None, "USE mart": None}


FOLDER = "Created local directory: /tmp/hive/{}"
DELETED = "Deleted directory: /tmp/hive/{} on fs with scheme file"


@pytest.mark.parametrize(
    ("arguments", "lines", "session"),
    [
        ((), opened(0, FOLDER.format(SESSION)), None),
        (("--session-per-connection",), opened(0, FOLDER.format(SESSION)), SESSION),
        (("--session-per-connection",), opened(0, FOLDER.format(SESSION), FOLDER.format(OTHER_SESSION)), None),
        (
            ("--session-per-connection",),
            opened(0, FOLDER.format(OTHER_SESSION))
            + line(1, DELETED.format(OTHER_SESSION), HANDLER, "session.SessionState")
            + opened(2, FOLDER.format(SESSION)),
            SESSION,
        ),
        (
            ("--session-per-connection",),
            opened(0, FOLDER.format(SESSION)) + line(1, DELETED.format(SESSION), HANDLER, "session.SessionState"),
            None,
        ),
    ],
    ids=["without the option", "one", "two on a connection", "one after the other", "closed"],
)
def test_a_connection_shows_the_session_only_with_an_option(
    logs: Reader, arguments: tuple[str, ...], lines: str, session: str | None
) -> None:
    lines = lines.replace("x.Y", "session.SessionState")
    assert logs.read(lines + statement(5, "SELECT 1", session=None), arguments=arguments).only["session"] == session


# --- the ends of logs -------------------------------------------------------------------------------------------


def test_statements_without_a_start_or_an_end_are_counted(logs: Reader) -> None:
    lines = statement(0, "SELECT 1", "q_1").splitlines(keepends=True)
    read = logs.read(lines[3] + "".join(statement(5, "SELECT 2", "q_2").splitlines(keepends=True)[:3]))
    assert (read.queries, read.skipped) == ([], {NO_START: 1, NO_END: 1})
    assert read.examples == {NO_START: "q_1", NO_END: "q_2"}


def test_a_log_cut_in_a_statement_is_counted(logs: Reader) -> None:
    lines = statement(0, "SELECT 1") + statement(5, "SELECT 'long text'", OTHER_ID)
    cut = lines[: lines.index("long text")]
    read = logs.read(cut)
    assert (read.column("text"), read.skipped) == (["SELECT 1"], {NO_END: 1})


def test_a_statement_goes_on_in_the_next_file(logs: Reader) -> None:
    lines = statement(0, "SELECT 1\nFROM t").splitlines(keepends=True)
    read = logs.read("".join(lines[:3]), "".join(lines[3:]))
    assert (read.only["text"], read.only["end"], read.skipped) == ("SELECT 1\nFROM t", at(2), {})


def test_a_copy_that_is_cut_does_not_replace_a_complete_text(logs: Reader) -> None:
    lines = statement(0, "SELECT 'text'").splitlines(keepends=True)
    cut = lines[2][: lines[2].index("xt'")]
    read = logs.read("".join(lines[:2]) + cut, lines[3])
    assert (read.only["text"], read.only["is_whole"], read.only["status"]) == ("SELECT 'text'", True, "finished")


def test_a_text_that_is_cut_is_marked(logs: Reader) -> None:
    lines = statement(0, "SELECT 'text'").splitlines(keepends=True)
    read = logs.read(lines[0][: lines[0].index("xt'")], line(2, EXECUTED, BACKGROUND))
    assert (read.only["text"], read.only["is_whole"]) == ("SELECT 'te", False)


def test_each_statement_comes_once(logs: Reader, tmp_path: Path) -> None:
    """However often its file was copied."""
    lines = statement(0, "SELECT 1") + statement(5, "SELECT 2", OTHER_ID)
    for name in ("a/hive.log", "a/hive.log.1", "b/hive.log"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(lines)
    (tmp_path / "b" / "cut.log").write_text(lines[:-200])
    read = logs.read_paths(tmp_path)
    assert (read.column("text"), read.skipped) == (["SELECT 1", "SELECT 2"], {})


def test_statements_without_an_id_come_once(logs: Reader) -> None:
    lines = line(0, "Starting command: SELECT 1", BACKGROUND) + line(1, PERFLOG, BACKGROUND, "log.PerfLogger")
    again = line(5, "Starting command: SELECT 1", BACKGROUND) + line(6, PERFLOG, BACKGROUND, "log.PerfLogger")
    assert logs.read(lines + again, lines + again).column("start") == [at(0), at(5)]


# --- the lineage hook -------------------------------------------------------------------------------------------

JSON = '{"version":"1.0","queryText":"INSERT INTO t SELECT 1","edges":[],"vertices":[]}'


def test_a_hook_entry_comes_before_its_statement(logs: Reader) -> None:
    lines = statement(0, "INSERT INTO t SELECT 1").splitlines(keepends=True)
    read = logs.read("".join([*lines[:3], line(1, JSON, BACKGROUND, "hooks.LineageLogger"), *lines[3:]]))
    assert read.order == ["hook", "query"]
    assert read.hooks == [{"time": at(1), "thread": BACKGROUND, "session": SESSION, "text": JSON, "query_id": ID}]


def test_a_hook_entry_of_an_older_version_has_many_lines(logs: Reader) -> None:
    indented = JSON.replace(",", ",\n  ")
    read = logs.read(line(1, f"POSTHOOK: LINEAGE: {indented}", BACKGROUND, "hooks.LineageLogger") + line(2, "OK"))
    assert read.hooks == [{"time": at(1), "thread": BACKGROUND, "session": None, "text": indented, "query_id": None}]


def test_the_hook_entry_of_a_first_try_is_not_that_of_the_second(logs: Reader) -> None:
    lines = statement(0, "INSERT INTO t SELECT 1").splitlines(keepends=True)
    hook = line(1, JSON, BACKGROUND, "hooks.LineageLogger")
    read = logs.read("".join([*lines[:3], hook, *lines[3:], *lines[2:]]))
    assert read.order == ["query"]


def test_statements_are_in_the_order_of_their_ends(logs: Reader) -> None:
    other = "HiveServer2-Background-Pool: Thread-45"
    long, short = statement(0, "SELECT 1", took=90), statement(1, "SELECT 2", OTHER_ID).replace(BACKGROUND, other)
    lines = sorted((long + short).splitlines(keepends=True))
    read = logs.read("".join(lines))
    assert read.column("text") == ["SELECT 2", "SELECT 1"]
    assert read.column("end") == [at(3), at(90)]
