"""Every statement of the folder parses in Spark's own grammar (3.5), which Databricks SQL extends.

The local server translates statements for DuckDB with sqlglot, which accepts more than Databricks. This test finds what
Databricks would refuse. Forms that only Databricks has are listed with their page.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.contract.statements import statements_of
from tests.script_process import TEMPLATES
from tests.warehouses.environments import environment_python

SCRIPT = Path(__file__).with_name("spark_parser.py")
SECONDS = 120
# Statements that Spark 3.5 does not parse, and the page of Databricks that has them.
PAGES = "https://docs.databricks.com/aws/en/sql/language-manual/"
ONLY_DATABRICKS = {
    r"DESC(RIBE)? HISTORY .*": f"{PAGES}delta-describe-history",
    r"SHOW STATISTICS .* AS JSON": f"{PAGES}sql-ref-syntax-aux-show-statistics",
    r"DESC(RIBE)? TABLE EXTENDED .* AS JSON": f"{PAGES}sql-ref-syntax-aux-describe-table",
    r"USE CATALOG .*": f"{PAGES}sql-ref-syntax-ddl-use-catalog",
    r"SELECT .* QUALIFY .*": f"{PAGES}sql-ref-syntax-qry-select-qualify",
}


WRONG = (
    "SELECT a FROM odd-name.b.c",
    'SELECT a AS "b" FROM c ORDER',
    "SELECT a::int AS b, FROM c",
    "DESCRIBE HISTORY a.b.c LIMIT 5",
)
RIGHT = ("SELECT c.a.b AS x FROM `odd-name`.b.c AS c WHERE c.d >= :since", "SHOW TABLES IN `a`.`b`")


def spark_refuses(statements: Sequence[str]) -> list[str | None]:
    """The error of each statement, or None. Starts Java, so it is called once."""
    done = subprocess.run(
        [str(environment_python("hive")), str(SCRIPT)],
        input=json.dumps(statements),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[str | None] = json.loads(done.stdout.splitlines()[-1])
    return found


def is_only_databricks(text: str) -> bool:
    line = " ".join(text.split())
    return any(re.fullmatch(pattern, line, re.IGNORECASE) for pattern in ONLY_DATABRICKS)


def test_spark_parses_all_statements_but_those_of_databricks() -> None:
    known = statements_of(TEMPLATES / "databricks")
    assert len(known) > 5
    refused = spark_refuses([*(each.text for each in known), *WRONG, *RIGHT])
    # the check itself finds what Spark refuses
    others = refused[len(known) :]
    assert [error is None for error in others] == [False] * len(WRONG) + [True] * len(RIGHT)
    found = zip(known, refused, strict=False)
    assert {str(each): error for each, error in found if error and not is_only_databricks(each.text)} == {}
