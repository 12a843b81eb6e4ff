"""Tests the folder's error table: the effect of each service error on a run, through the real driver.

One session in one process gets all errors. The scripts' own tests cover some of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from tests.script_process import clean_environment
from tests.templates.snowflake.conftest import Templates
from tests.warehouses.snowflake.faults import Fault

# Runs in the folder, like its scripts. For each statement, reports the class of the run's error, and whether the rest
# of a collection can continue without it.
ASKING = """
import json, sys
from connection import connect, explain, is_too_much, is_unreadable, rows
from typing import NamedTuple

class Row(NamedTuple):
    n: int

for name, sql in json.loads(sys.argv[1]).items():
    with connect() as connection:
        try:
            list(rows(connection, Row, sql))
        except Exception as error:
            found = explain(error)
            print(json.dumps([name, type(found).__name__, is_unreadable(error), is_too_much(error)]))
"""

TOO_MUCH = "Information schema query returned too much data. Please repeat query with more selective predicates."
CAPPED = "The result set size exceeded the max number of rows(10000) supported for SHOW statements."
SKIPPED, IN_PARTS, ENDS = (True, False), (False, True), (False, False)
# The service's error, the class of the run's error, and whether the run continues.
CASES: tuple[tuple[Fault, str, tuple[bool, bool]], ...] = (
    (Fault("error", code="002003"), "RefusedError", SKIPPED),
    (Fault("error", code="002043"), "RefusedError", SKIPPED),
    (Fault("error", code="003001"), "RefusedError", SKIPPED),
    (Fault("error", code="003030"), "RefusedError", SKIPPED),
    (Fault("error", code="002003", message=TOO_MUCH), "RefusedError", SKIPPED),  # a name can contain these words
    (Fault("error", code="090030", message=TOO_MUCH), "PushIngestionError", IN_PARTS),
    (Fault("error", code="090153", message=CAPPED), "PushIngestionError", IN_PARTS),
    (Fault("error", code="000603"), "UnavailableError", ENDS),
    (Fault("error", code="000604"), "UnavailableError", ENDS),
    (Fault("error", code="000606"), "ConfigurationError", ENDS),
    (Fault("error", code="000608"), "UnavailableError", ENDS),
    (Fault("error", code="000630"), "UnavailableError", ENDS),
    (Fault("error", code="090073"), "RefusedError", ENDS),
    (Fault("error", code="390111"), "UnavailableError", ENDS),
    (Fault("error", code="390112"), "UnavailableError", ENDS),
    (Fault("error", code="390113"), "UnavailableError", ENDS),
    (Fault("error", code="390114"), "UnavailableError", ENDS),
    (Fault("error", code="390115"), "UnavailableError", ENDS),
    (Fault("error", code="390201"), "RefusedError", ENDS),
    (Fault("error", code="390318"), "RefusedError", ENDS),
    (Fault("error", code="000904"), "PushIngestionError", ENDS),
    (Fault("error", code="100038"), "PushIngestionError", ENDS),
    (Fault("session"), "UnavailableError", ENDS),
    (Fault("abort"), "UnavailableError", ENDS),
    (Fault("status", status=403), "RefusedError", ENDS),
)


def test_each_service_error_has_the_expected_effect(templates: Templates) -> None:
    statements = {f"case {number}": f"SELECT {number} AS n FROM 'case {number}'" for number in range(len(CASES))}
    faults = [replace(fault, contains=f"'case {number}'") for number, (fault, _, _) in enumerate(CASES)]
    templates.server.break_with(*faults)
    run = subprocess.run(
        [sys.executable, "-c", ASKING, json.dumps(statements)],
        cwd=templates.folder,
        env=clean_environment(templates.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert found == [[f"case {number}", kind, *going_on] for number, (_, kind, going_on) in enumerate(CASES)], (
        run.stderr
    )
