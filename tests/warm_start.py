"""Starts scripts in processes whose slowest imports are done: it imports them once and forks for each script.

Run by tests/script_process.py with the number of a socket. A request is one message: JSON with ``script``,
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

# Packages that take long and read no environment variable while they are imported.
SLOW_IMPORTS = ("pycarlo.lib.schema", "dataclasses_json", "box", "requests", "sqlglot", "sqlglot.optimizer")
LONGEST_REQUEST = 1 << 20


def next_script(requests: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each request, in which this returns the request. None in this process, after the last one."""
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
    """Fork the script's process, in which this returns. The process in between reports its end."""
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
    """Forget the processes that have reported the end of a script."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def as_main(request: dict[str, Any]) -> tuple[types.CodeType, dict[str, Any]]:
    """Make this process what Python makes of ``python script arguments``; the script's code and its namespace."""
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


logging.disable()  # what packages log while they are imported is for a script's handlers
for name in SLOW_IMPORTS:
    importlib.import_module(name)
logging.disable(logging.NOTSET)
gc.collect()
gc.freeze()  # else each process would copy the memory of all that was imported, when it collects garbage at its end
assert threading.active_count() == 1, "a thread would be missing in the forked processes"
if request := next_script(socket.socket(fileno=int(sys.argv[1]))):
    code, namespace = as_main(request)
    exec(code, namespace)  # noqa: S102 - a script
