"""Joins the lines of one server's log to statements: text, session, start, end and outcome."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from log_lines import LogLine
from log_messages import (
    BACKUP,
    CANCELED,
    COMPLETED,
    EXECUTED,
    FAILED,
    HOOK,
    HOOK_LOGGER,
    INTERRUPTED,
    OPERATION_CANCELED,
    REMOVED,
    START,
    TIMED_OUT,
)
from log_sessions import Sessions
from logged_query import (
    CANCELLATION,
    CONSOLE_LINES,
    DROPPED,
    FAILURE,
    FINISHED,
    NEVER_RAN,
    NO_ID_FAILURE,
    NO_START,
    TIMEOUT,
    HookEntry,
    LoggedQuery,
    Statement,
    without_console,
)
from mcpush.collect.collector import Options

GRACE = timedelta(minutes=1)  # Hive can run a statement again after it has failed, under the same id
MAX_HELD = 64_000_000  # bytes, roughly, of statements that have not ended; the oldest are dropped
MAX_ERROR = 4_000  # characters


class Statements:
    """The statements of one server, while its log is read."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._sessions = Sessions(options.arguments.session_per_connection)
        self._running: dict[str, Statement] = {}  # by key, in the order of their starts
        self._ended: dict[str, Statement] = {}  # in the order of their ends
        self._threads: dict[str, str] = {}  # thread → key of the statement that it works on
        self._held = 0  # size of the running statements

    def read(self, line: LogLine, is_whole: bool) -> Iterator[LoggedQuery | HookEntry]:
        """Take in a line. Yields the statements that cannot change any more."""
        if self._ended:
            yield from self._settled(line.moment - GRACE)
        message = line.message
        if found := START.match(message):
            self._start(line, found[1] or "Starting", found[2], message[found.end() :], is_whole)
        elif found := COMPLETED.match(message):
            self._completed(line, found[1], found[2])
        elif found := INTERRUPTED.match(message) or CANCELED.match(message):
            self._stop(line, found[1], CANCELLATION)
        elif found := TIMED_OUT.match(message):
            self._stop(line, found[1], TIMEOUT)
        elif FAILED.match(message):
            self._failed(line)
        elif found := BACKUP.match(message) or EXECUTED.match(message):
            self._on_the_way(line, found.re is EXECUTED)
        elif found := REMOVED.match(message):
            self._removed(found[1], line.session)
        elif line.logger.endswith(HOOK_LOGGER) and (found := HOOK.match(message)):
            yield from self._hook(line, message[found.end() :])
        else:
            self._sessions.read(line)

    def finish(self) -> Iterator[LoggedQuery | HookEntry]:
        """Yields the remaining statements that have ended."""
        yield from self._settled(None)

    def unfinished(self) -> list[str]:
        """The keys of statements that started in the window and have no end."""
        return [each.key for each in self._running.values() if self._is_in_window(each.start)]

    # --- statements -------------------------------------------------------------------------------------------

    def _start(self, line: LogLine, phase: str, query_id: str | None, text: str, is_whole: bool) -> None:
        key = query_id or f"{line.moment} {line.thread}"
        statement = self._ended.pop(key, None) or self._running.pop(key, None)
        if (sql := without_console(text)) != text.strip():
            self._options.skip(CONSOLE_LINES, key)
        session = self._sessions.of_statement(line, query_id)
        if statement is None:
            statement = Statement(query_id, key, line.moment, sql, is_whole, line.thread, session, phase)
        else:
            self._held -= statement.size if statement.end is None else 0
            if statement.thread != line.thread and self._threads.get(statement.thread) == key:
                del self._threads[statement.thread]
            statement.start_again(phase, line.thread, sql, is_whole)
            statement.session = statement.session or session
        statement.database = statement.database or self._sessions.database(statement.session, statement.start)
        self._running[key] = statement
        self._threads[line.thread] = key
        self._held += statement.size
        self._drop_oldest()

    def _completed(self, line: LogLine, phase: str, query_id: str) -> None:
        """The end of a phase, successful or not."""
        statement = self._running.get(query_id)
        if statement is None:
            if phase == "executing" and query_id not in self._ended and self._is_in_window(line.moment):
                self._options.skip(NO_START, query_id)
        elif phase == "executing" or statement.error:
            self._end(statement, line.moment)
        else:
            statement.is_compiled = True

    def _stop(self, line: LogLine, query_id: str, status: str) -> None:
        """A statement was canceled. If it had ended already, that changes nothing."""
        if statement := self._running.get(query_id):
            statement.status = statement.status or status
            self._end(statement, line.moment)
        elif (statement := self._ended.get(query_id)) and statement.status in (CANCELLATION, TIMEOUT):
            statement.end = line.moment

    def _on_the_way(self, line: LogLine, is_executed: bool) -> None:
        """A failed task is replaced by another, or a statement of Hive 1.x ended."""
        statement = self._on_thread(line.thread)
        if statement and not is_executed:
            statement.error = None
        elif statement and statement.phase == "Starting":
            self._end(statement, line.moment)

    def _failed(self, line: LogLine) -> None:
        """The line has no id: it belongs to the statement of its thread."""
        statement = self._on_thread(line.thread)
        if statement is None:
            if not line.thread:
                for each in self._running.values():
                    each.is_doubtful = True
            if self._is_in_window(line.moment):
                self._options.skip(NO_ID_FAILURE, line.message.split("\n", 1)[0])
            return
        statement.error = line.message.split("\n", 1)[0][:MAX_ERROR].strip()
        if line.message.startswith(OPERATION_CANCELED):
            statement.status = statement.status or CANCELLATION
        if statement.phase == "Compiling" and statement.is_compiled:  # no lock: it will not be executed
            self._end(statement, line.moment)

    def _on_thread(self, thread: str) -> Statement | None:
        """The statement that a thread works on. Without names of threads, the only running one."""
        if thread:
            return self._running.get(self._threads.get(thread, ""))
        return next(iter(self._running.values())) if len(self._running) == 1 else None

    def _end(self, statement: Statement, moment: datetime) -> None:
        self._forget(statement)
        statement.end = moment
        if statement.status is None:
            statement.status = FAILURE if statement.error else None if statement.is_doubtful else FINISHED
        self._ended[statement.key] = statement
        if statement.session and statement.status != FAILURE:
            has_succeeded = statement.status == FINISHED
            self._sessions.note_use(statement.session, statement.text, moment, has_succeeded=has_succeeded)

    def _forget(self, statement: Statement) -> None:
        self._running.pop(statement.key, None)
        self._held -= statement.size
        if self._threads.get(statement.thread) == statement.key:
            del self._threads[statement.thread]

    def _removed(self, query_id: str, session: str | None) -> None:
        """The client closed a statement. Only this line may show its session."""
        if statement := self._ended.get(query_id):
            statement.session = statement.session or session
        elif (statement := self._running.get(query_id)) and statement.phase == "Compiling":
            self._forget(statement)
            if self._is_in_window(statement.start):
                self._options.skip(NEVER_RAN, query_id)

    def _hook(self, line: LogLine, text: str) -> Iterator[HookEntry]:
        """The hook runs at the end of a statement, on its thread."""
        statement = self._on_thread(line.thread)
        if statement is None:
            yield HookEntry(line.moment, line.thread, line.session, text)
        else:
            session = line.session or statement.session
            statement.hooks.append(HookEntry(line.moment, line.thread, session, text, statement.id))

    # --- results ----------------------------------------------------------------------------------------------

    def _settled(self, until: datetime | None) -> Iterator[LoggedQuery | HookEntry]:
        while self._ended:
            statement = next(iter(self._ended.values()))
            if statement.end is None or (until is not None and statement.end > until):
                return
            del self._ended[statement.key]
            yield from statement.hooks
            user = self._sessions.user(statement.session)
            database = self._sessions.database(statement.session, statement.start)
            yield statement.result(statement.end, user, statement.database or database)

    def _drop_oldest(self) -> None:
        while self._held > MAX_HELD and len(self._running) > 1:
            statement = next(iter(self._running.values()))
            self._forget(statement)
            if self._is_in_window(statement.start):
                self._options.skip(DROPPED, statement.key)

    def _is_in_window(self, moment: datetime) -> bool:
        return self._options.since <= moment < self._options.until
