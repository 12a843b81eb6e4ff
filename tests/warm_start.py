"""Starts scripts fast: does the slowest imports once, then forks a process for each script.

tests/script_process.py runs it with the number of a socket. A request is one message: JSON with ``script``,
``arguments``, ``env`` and ``cwd``, and three file descriptors: stdout, stderr, and a pipe that gets a line with the
process id when the script starts and a line with its exit code when it ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import socket
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

# Packages that import slowly and read no environment variables during import.
SLOW_IMPORTS = (
    "pycarlo.lib.schema",
    "dataclasses_json",
    "box",
    "requests",
    "sqlglot",
    "sqlglot.optimizer",
    "pyarrow",
    "databricks.sql.client",
)
LONGEST_REQUEST = 1 << 20


def next_script(requests: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each request. Returns the request in the new process, and None here after the last one."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 3)
        if not message:
            return None
        if os.fork() == 0:
            requests.close()
            return watched(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        reap()


def watched(request: dict[str, Any], stdout: int, stderr: int, status: int) -> dict[str, Any]:
    """Fork the script's process and return there. The process in between waits for it and reports its exit code."""
    child = os.fork()
    if child:
        os.write(status, b"%d\n" % child)
        _, ended = os.waitpid(child, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
        os._exit(0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for descriptor in (stdout, stderr, status):
        os.close(descriptor)
    return request


def reap() -> None:
    """Reap the processes that have reported the end of a script."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def as_main(request: dict[str, Any]) -> tuple[types.CodeType, dict[str, Any]]:
    """Set up this process like ``python script arguments``. Returns the script's code and its namespace."""
    script: str = request["script"]
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    if request["cwd"]:
        os.chdir(request["cwd"])
    sys.argv = [script, *request["arguments"]]
    sys.path[0] = str(Path(script).resolve().parent)
    main = types.ModuleType("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    return compile(Path(script).read_bytes(), script, "exec"), main.__dict__


logging.disable()  # drops log records of these imports: the script's handlers are not set up yet
for name in SLOW_IMPORTS:
    importlib.import_module(name)
logging.disable(logging.NOTSET)
gc.collect()
gc.freeze()  # otherwise the final garbage collection in each process would copy the memory of all imports
assert threading.active_count() == 1, "forked processes would not have the other threads"
if request := next_script(socket.socket(fileno=int(sys.argv[1]))):
    code, namespace = as_main(request)
    exec(code, namespace)  # noqa: S102 - a script
