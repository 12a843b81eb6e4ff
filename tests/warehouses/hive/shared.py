"""One HiveServer2 for all tests of a process, because its start takes seconds and its memory hundreds of megabytes.

Test modules that use it are in one group, so that only one of the parallel processes starts it:

    pytestmark = ONE_SERVER

The tests of a module run together, and each fills the server itself.
"""

from __future__ import annotations

import atexit
from functools import cache

import pytest

from tests.warehouses.hive.launch import HiveServer

ONE_SERVER = pytest.mark.xdist_group("contract/hive")


@cache
def shared_server() -> HiveServer:
    """The running server. It ends with the process."""
    server = HiveServer()
    server.__enter__()
    atexit.register(server.__exit__, None, None, None)
    return server
