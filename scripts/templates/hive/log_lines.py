"""The layouts of HiveServer2's log lines, as data, and what a line has in front of its message.

A layout is a time stamp and one of REST. A line that starts otherwise continues the message of the line before it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

# The start of a log line. A date alone is not enough: a line of SQL can start with one.
LINE_START = re.compile(
    rb"^(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d|\d\d/\d\d/\d\d \d\d:\d\d:\d\d)(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    rb" {1,5}(?:\[|(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL) )"
    rb"|^<\d{1,3}>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
    re.MULTILINE,
)

STAMP = re.compile(
    r"\A(?:(?P<day>\d{4}-\d\d-\d\d)[T ]|(?P<short_day>\d\d/\d\d/\d\d) )(?P<time>\d\d:\d\d:\d\d)"
    r"(?:[.,](?P<fraction>\d{1,9}))?(?P<offset>Z|[+-]\d\d:?\d\d)?"
)

# What is between the time stamp and the message. Each was seen in public logs; the pages have the patterns.
REST = (
    # Apache: %d{ISO8601} %5p [%t] %c{2}: %m%n
    # https://github.com/apache/hive/blob/master/common/src/main/resources/hive-log4j2.properties
    # HDP: %d{ISO8601} %-5p [%t]: %c{2} (%F:%M(%L)) - %m%n, with log4j 2 "ql.Driver (:()) - ". MapR: "Thread-57([])".
    # https://github.com/cdapio/hadoop_cookbook/blob/master/attributes/hive2.rb
    re.compile(
        r"\A +[A-Z]{4,5} +\[(?P<thread>[^\[\]]*(?:\[\][^\[\]]*)*)\]:? (?P<logger>[\w.$-]+)"
        r"(?:: ?| \([^()]*(?:\([^()]*\))?\) - ?)"
    ),
    # CDH: %d{ISO8601} %p %c: [%t]: %m%n
    re.compile(r"\A +[A-Z]{4,5} +(?P<logger>[\w.$-]+): \[(?P<thread>[^\[\]]*(?:\[\][^\[\]]*)*)\]: ?"),
    # Console: %d{yy/MM/dd HH:mm:ss} [%t]: %p %c{2}: %m%n
    # https://github.com/apache/hive/blob/master/ql/src/main/resources/hive-exec-log4j2.properties
    re.compile(r"\A +\[(?P<thread>[^\[\]]*(?:\[\][^\[\]]*)*)\]: [A-Z]{4,5} +(?P<logger>[\w.$-]+): ?"),
    # Without a thread: %d{yy/MM/dd HH:mm:ss} %p %c{2}: %m%n
    re.compile(r"\A +[A-Z]{4,5} +(?P<logger>[\w.$-]+)(?:: ?| \([^()]*(?:\([^()]*\))?\) - ?)"),
)

# RFC 5424, as log4j's Rfc5424Layout writes it in containers: <14>1 time host app process id [mdc@18060 …] message
# https://logging.apache.org/log4j/2.x/manual/layouts.html
SYSLOG = re.compile(
    r'\A<\d{1,3}>1 (?P<stamp>\S+) \S+ \S+ \S+ \S+ (?P<data>-|(?:\[(?:[^\]"\\]|"(?:[^"\\]|\\.)*")*\])+) ?'
)
FIELD = re.compile(r'([\w.-]{1,99})="((?:[^"\\]|\\.)*)"')

# Hive puts the session in front of the thread's name while the thread works for it.
SESSION_IN_FRONT = re.compile(r"\A([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}) +")
SESSION_BEHIND = re.compile(r"\((?:\[\]|SessionHandle=([\w-]{1,64}))\)\Z")

BACKWARDS = timedelta(minutes=30)  # an hour back is a second pass; less is disorder between threads


class LogLine(NamedTuple):
    """A log line, with the lines that continue its message. ``thread`` is empty if the layout has none."""

    moment: datetime
    logger: str
    thread: str
    session: str | None
    message: str


class Clock:
    """Turns time stamps of one server's log into UTC. Stamps without an offset are in ``zone``.

    A stamp in the hour that clocks repeat is ambiguous. It is in the second pass if the log was already there, else in
    the first one.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self.latest: datetime | None = None

    def utc(self, stamp: re.Match[str]) -> datetime:
        """The time of a match of STAMP. Raises ValueError if it is not a valid time."""
        day, short_day, time, fraction, offset = stamp.groups()
        day = day or f"20{short_day.replace('/', '-')}"
        local = datetime.fromisoformat(f"{day} {time}.{(fraction or '')[:6].ljust(6, '0')}")
        moment = local.replace(tzinfo=_offset(offset)).astimezone(timezone.utc) if offset else self._in_zone(local)
        if self.latest is None or moment > self.latest:
            self.latest = moment
        return moment

    def _in_zone(self, local: datetime) -> datetime:
        if self._zone is timezone.utc:
            return local.replace(tzinfo=timezone.utc)
        first = local.replace(tzinfo=self._zone).astimezone(timezone.utc)
        second = local.replace(tzinfo=self._zone, fold=1).astimezone(timezone.utc)
        if self.latest and first < second and first < self.latest - BACKWARDS:
            return second
        return first


def _offset(text: str) -> tzinfo:
    if text == "Z":
        return timezone.utc
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def parse_line(text: str, clock: Clock) -> LogLine | None:
    """The log line at the start of ``text``; None if its layout is unknown."""
    try:
        return _from_syslog(text, clock) if text.startswith("<") else _from_pattern(text, clock)
    except ValueError:  # not a valid date
        return None


def _from_pattern(text: str, clock: Clock) -> LogLine | None:
    stamp = STAMP.match(text)
    if stamp is None:
        return None
    rest = text[stamp.end() :]
    for layout in REST:
        if found := layout.match(rest):
            name = found["thread"] if "thread" in layout.groupindex else ""
            thread, session = _thread_and_session(name)
            return LogLine(clock.utc(stamp), found["logger"], thread, session, rest[found.end() :])
    return None


def _from_syslog(text: str, clock: Clock) -> LogLine | None:
    found = SYSLOG.match(text)
    stamp = STAMP.match(found["stamp"]) if found else None
    if found is None or stamp is None:
        return None
    fields = dict(FIELD.findall(found["data"]))
    thread, session = _thread_and_session(fields.get("thread", ""))
    session = session or fields.get("sessionId") or None
    return LogLine(clock.utc(stamp), fields.get("class", ""), thread, session, text[found.end() :])


@lru_cache(maxsize=10_000)
def _thread_and_session(name: str) -> tuple[str, str | None]:
    if found := SESSION_IN_FRONT.match(name):
        return name[found.end() :], found[1]
    if found := SESSION_BEHIND.search(name):
        return name[: found.start()], found[1]
    return name, None
