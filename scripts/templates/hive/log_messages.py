"""The messages of HiveServer2's log about statements and sessions, as data.

The texts are those of Hive's source, https://github.com/apache/hive/tree/master:
ql/src/java/org/apache/hadoop/hive/ql/Compiler.java and Executor.java (statements),
service/src/java/org/apache/hive/service/cli/operation/SQLOperation.java (cancel, timeout),
service/src/java/org/apache/hive/service/cli/thrift/ThriftCLIService.java (users).
"""

from __future__ import annotations

import re

# Parts of lines that matter, found before a line is decoded. Most lines have none of them.
MARKERS = (
    b"queryId",
    b"Starting command: ",
    b"FAILED: ",
    b"ATTEMPT: Execute BackupTask: ",
    b"Authorization failed:",
    b"has been successfully interrupted: ",
    b"Successfully cancelled the query: ",
    b"Query timed out after: ",
    b"</PERFLOG method=Driver.execute ",
    b"Session opened, SessionHandle [",
    b"SessionState: Created ",
    b"SessionState: Deleted directory: ",
    b"Creating Hive session handle for user [",
    b"Client protocol version: ",
    b"(auth:PROXY)",
    b"Connected: sessionId=",
    b'"reqUser":"',
    b"LineageLogger",
    b"POSTHOOK: LINEAGE: ",
)

# "): " is required: "Executing command(queryId=…) has been interrupted" is an end. Hive 0.13 has no query id.
START = re.compile(
    r"\A(?:(Compiling|Executing|Starting) command\(queryId=([^\s()]{1,256})\)|Starting command):(?: |(?=\n)|\Z)"
)
COMPLETED = re.compile(r"\ACompleted (compiling|executing) command\(queryId=([^\s()]{1,256})\)")
INTERRUPTED = re.compile(r"\A(?:Compiling|Executing) command\(queryId=([^\s()]{1,256})\) has been interrupted")
CANCELED = re.compile(
    r"\A(?:Successfully cancelled the query|The running operation has been successfully interrupted): (\S{1,256})"
)
TIMED_OUT = re.compile(r"\AQuery timed out after: \d+ seconds\. Cancelling the execution now: (\S{1,256})")
FAILED = re.compile(r"\A(?:FAILED: |Authorization failed:)")
ERROR_NUMBER = re.compile(r"\[Error (\d{1,6})\]")
# A task failed, and another one takes its place: the statement goes on.
BACKUP = re.compile(r"\AATTEMPT: Execute BackupTask: ")
OPERATION_CANCELED = "FAILED: Operation cancelled"
# Hive 1.x logs no "Completed executing".
EXECUTED = re.compile(r"\A</PERFLOG method=Driver\.execute ")
REMOVED = re.compile(r"\ARemoved queryId: (\S{1,256})")

OPENING = re.compile(r"\AClient protocol version: ")
CLIENT_USER = re.compile(r"\ACreating Hive session handle for user \[([^\]\n]{0,256})\]")
PROXY_USER = re.compile(r"\bugi=([^\s]{1,256}) \(auth:PROXY\)")
OPENED = re.compile(r"\ASession opened, SessionHandle \[([\w-]{1,64})\]")
# The folders of a session are named by its id.
CREATED = re.compile(
    r"\ACreated (?:HDFS|local) directory: [^\n]*/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\Z"
)
DELETED = re.compile(
    r"\ADeleted directory: [^\n]*/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}) on fs "
)
# Hive 4, before each statement: its session, and the user after impersonation
# https://github.com/apache/hive/blob/master/service/src/java/org/apache/hive/service/cli/operation/Operation.java
OPERATION = re.compile(
    r"\A\[opType=EXECUTE_STATEMENT, queryId=([^\s,]{1,256}), startTime=\d+, sessionId=([\w-]{1,64}), createTime=\d+, "
    r"userName=([^\n]{0,256}), ipAddress=[^\n]{0,256}\]\s*\Z"
)
# MapR's audit: https://docs.datafabric.hpe.com/ (HiveSessionImpl.audit)
CONNECTED = re.compile(r"\AConnected: sessionId=([\w-]{1,64}) user=(\S{1,256})")
# Ranger's audit, if it is written to the log: one JSON object per line.
AUDIT_SESSION = re.compile(r'"sess":"([\w-]{1,64})"')
AUDIT_USER = re.compile(r'"reqUser":"([^"\\]{1,256})"')

HOOK_LOGGER = "LineageLogger"
HOOK = re.compile(r"\A(?:POSTHOOK: LINEAGE: )?(?=\{)")

# Both skip comments.
STARTS_WITH_USE = re.compile(r"\A(?:\s|--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/)*USE\b", re.IGNORECASE)
USE = re.compile(
    r"\A(?:\s|--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/)*"
    r"USE\s+(?:`((?:[^`]|``)+)`|(\w+))"
    r"(?:;|\s|--[^\n]*(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*\*/)*\Z",
    re.IGNORECASE,
)

# What a console capture has behind the SQL of a statement: it is not a part of the SQL.
CONSOLE = re.compile(
    r"^(?:(?:WARNING: )?Hive-on-MR is deprecated|Query ID = |Total jobs = \d|Launching Job \d|OK$|FAILED: "
    r"|Time taken: \d|hive> |\d+: jdbc:hive2:|SLF4J: |Hive Session ID = |Logging initialized using |\tat )",
    re.MULTILINE,
)
