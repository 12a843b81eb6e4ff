"""Writes a neutral model's queries as HiveServer2 3.1 logs them, in the default layout of Hive 3.

Each session runs on a thread of the handler pool, which has the session in its name. Statements are executed on threads
of the background pool. The messages are those of Hive's source:
https://github.com/apache/hive/blob/rel/release-3.1.3/ql/src/java/org/apache/hadoop/hive/ql/Driver.java
https://github.com/apache/hive/blob/master/service/src/java/org/apache/hive/service/cli/thrift/ThriftCLIService.java
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.warehouses.hive.from_model import Texts, create_view
from tests.warehouses.model import Model, Query

COMPILING = timedelta(milliseconds=250)
BEFORE = timedelta(minutes=5)  # the server starts this long before the first statement
FAILED = "FAILED: Execution Error, return code 2 from org.apache.hadoop.hive.ql.exec.tez.TezTask. {error}"
CREATOR = "dba"  # the user who created the views
CREATOR_SESSION = 600
NAMESPACE = uuid.UUID("9c5b94b1-35ad-49bb-b118-8e8fc24abf80")


@dataclass(frozen=True)
class Statement:
    """A statement in the log. ``session``: each user of a session of the model has one of their own."""

    query_id: str
    session: str
    user: str
    start: datetime
    end: datetime
    text: str
    error: str | None = None


def statements(model: Model) -> list[Statement]:
    """Those that the log contains: the model's queries, and the statements that created its views."""
    texts = Texts(model)
    found = [_statement(query, query.user, texts.of(query)) for query in model.queries]
    for number, view in enumerate((table for table in model.tables if table.is_view), start=1):
        start = model.since + timedelta(minutes=50, seconds=number)
        created = Query(2_000 + number, CREATOR_SESSION, CREATOR, start, 3, view.path)
        found.append(_statement(created, CREATOR, create_view(model, view)))
    return found


def _statement(query: Query, user: str, text: str) -> Statement:
    session = str(uuid.uuid5(NAMESPACE, f"{query.session} {user}"))
    query_id = f"hive_{query.start:%Y%m%d%H%M%S}_{uuid.uuid5(NAMESPACE, str(query.number))}"
    error = FAILED.format(error=query.error) if query.error else None
    return Statement(query_id, session, user, query.start, query.end, text, error)


def write(model: Model, path: Path) -> None:
    """Write the log of a server that started before the window, and runs until the model's present."""
    found = statements(model)
    start = min((each.start for each in found), default=model.since) - BEFORE
    lines = [*_server(start), *_sessions(found, start), *(line for each in found for line in _lines(each))]
    lines.append((model.now, " INFO [main] server.HiveServer2: Web UI has started on port 10002"))
    lines.sort(key=lambda line: line[0])
    path.write_text("".join(f"{_time(moment)} {text}\n" for moment, text in lines), encoding="utf-8", newline="\n")


def write_empty(path: Path) -> None:
    """Write the log of a server that has run no statement."""
    lines = _server(datetime.now(timezone.utc) - timedelta(days=1))
    path.write_text("".join(f"{_time(moment)} {text}\n" for moment, text in lines), encoding="utf-8", newline="\n")


Line = tuple[datetime, str]


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S,") + f"{moment.microsecond // 1000:03}"


def _server(moment: datetime) -> list[Line]:
    return [
        (moment, " INFO [main] server.HiveServer2: Starting HiveServer2"),
        (moment, " INFO [main] service.AbstractService: Service:HiveServer2 is started."),
        (
            moment,
            " INFO [main] thrift.ThriftCLIService: Starting ThriftBinaryCLIService on port 10000",
        ),
    ]


def _sessions(found: list[Statement], start: datetime) -> Iterator[Line]:
    users = {each.session: each.user for each in found}
    for number, (session, user) in enumerate(users.items(), start=1):
        thread = f"[HiveServer2-Handler-Pool: Thread-{100 + number}]"
        moment = start + timedelta(seconds=1, milliseconds=number)
        opened = f"Creating Hive session handle for user [{user}] from IP 10.0.0.{number % 250 + 1}"
        yield moment, f" INFO {thread} thrift.ThriftCLIService: {opened}"
        yield moment, f" INFO {thread} service.CLIService: SessionHandle [{session}]: openSession()"
        yield moment, f" INFO {thread} thrift.ThriftCLIService: Session opened, SessionHandle [{session}]"


def _lines(statement: Statement) -> Iterator[Line]:
    number = uuid.uuid5(NAMESPACE, statement.query_id).int % 100_000
    handler = f"[{statement.session} HiveServer2-Handler-Pool: Thread-{statement.session[:4]}]"
    background = f"[HiveServer2-Background-Pool: Thread-{200_000 + number}]"
    name = f"command(queryId={statement.query_id})"
    compiled = statement.start + COMPILING
    seconds = (statement.end - compiled).total_seconds()
    yield statement.start, f" INFO {handler} ql.Driver: Compiling {name}: {statement.text}"
    yield compiled, f" INFO {handler} ql.Driver: Semantic Analysis Completed (retrial = false)"
    yield compiled, f" INFO {handler} ql.Driver: Completed compiling {name}; Time taken: 0.25 seconds"
    yield compiled, f" INFO {background} ql.Driver: Executing {name}: {statement.text}"
    if statement.error:
        yield statement.end, f"ERROR {background} ql.Driver: {statement.error}"
    yield statement.end, f" INFO {background} ql.Driver: Completed executing {name}; Time taken: {seconds} seconds"
    if not statement.error:
        yield statement.end, f" INFO {background} ql.Driver: OK"
