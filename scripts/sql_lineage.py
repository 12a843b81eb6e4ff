# /// script
# requires-python = ">=3.10"
# dependencies = ["sqlglot[c]==30.30.0; python_version >= '3.11'", "sqlglot==30.30.0; python_version < '3.11'"]
# ///
"""Prints the table and column lineage of SQL statements.

    python scripts/sql_lineage.py --dialect snowflake --database SHOP --schema PUBLIC load.sql

Reads files or standard input. Prints one line per target, source and column, or JSON with --json. Masks secrets and
escapes control characters. Needs sqlglot.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from mcpush.lineage.schema_manifest import add_schema_argument, schema_from_manifest
from mcpush.manifest import ManifestError
from mcpush.redaction import excerpt, printable, redact_values
from mcpush.sql import Defaults, Extraction, extract
from mcpush.version import RELEASE

EXAMPLE_CHARACTERS = 200  # of a skipped statement


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))  # it repeats arguments


def describe(found: Extraction) -> Iterator[str]:
    """Human-readable lines: each target with its sources, then its columns, then the skips."""
    for lineage in found.lineages:
        marks = [
            mark
            for mark, on in (("temporary", lineage.temporary), (lineage.certainty, lineage.certainty != "parsed"))
            if on
        ]
        suffix = f"  ({', '.join(marks)})" if marks else ""
        yield f"{lineage.kind}{': ' + str(lineage.target) if lineage.target else ''}{suffix}"
        for source in lineage.sources:
            yield f"  reads {source}"
        width = max((len(edge.target_column) for edge in lineage.columns), default=0)
        for edge in lineage.columns:
            yield f"  {edge.target_column:<{width}} <- {edge.source}.{edge.source_column}"
    for skip in found.skips:
        yield f"skipped ({skip.reason}): {excerpt(skip.example, EXAMPLE_CHARACTERS)}"


def as_json(found: Extraction) -> str:
    """The result as one JSON object, in ASCII."""
    result = redact_values(
        {
            "lineage": [
                {
                    "kind": lineage.kind,
                    "target": str(lineage.target) if lineage.target else None,
                    "sources": [str(source) for source in lineage.sources],
                    "columns": [
                        {"target": edge.target_column, "source": str(edge.source), "name": edge.source_column}
                        for edge in lineage.columns
                    ],
                    "certainty": lineage.certainty,
                    "temporary": lineage.temporary,
                }
                for lineage in found.lineages
            ],
            "skipped": [
                {"reason": skip.reason, "example": excerpt(skip.example, EXAMPLE_CHARACTERS)} for skip in found.skips
            ],
        }
    )
    return json.dumps(result, indent=2)


def _arguments() -> argparse.ArgumentParser:
    parser = Parser(
        prog="sql_lineage.py",
        description="Print the table and column lineage of the SQL statements in a file.",
        epilog="example: python scripts/sql_lineage.py --dialect snowflake --database SHOP --schema PUBLIC load.sql",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {RELEASE}")
    parser.add_argument("files", nargs="*", metavar="FILE", help="SQL files (default: - for standard input)")
    parser.add_argument("--dialect", required=True, help="snowflake, bigquery, databricks, redshift, hive, …")
    parser.add_argument("--database", help="current database, for unqualified names")
    parser.add_argument("--schema", help="current schema, for unqualified names")
    add_schema_argument(parser)
    parser.add_argument("--truncated", action="store_true", help="the text is truncated: report tables only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _texts(files: Sequence[str], stdin: TextIO) -> Iterator[str]:
    for name in files or ["-"]:
        yield stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")


def _discard_output() -> None:
    """Output that could not be written must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0 if all statements were read, 1 if any was skipped, 2 for invalid usage or input."""
    options = _arguments().parse_args(arguments)
    defaults = Defaults(options.database, options.schema)
    status = 0
    try:
        schema = schema_from_manifest(options.schema_manifest) if options.schema_manifest else None
        for text in _texts(options.files, sys.stdin):
            found = extract(text, options.dialect, defaults, schema, truncated=options.truncated)
            print(as_json(found) if options.json else "\n".join(map(printable, describe(found))), flush=True)
            status = max(status, 1 if found.skips else 0)
            defaults = found.defaults
    except BrokenPipeError:  # the reader has seen enough
        _discard_output()
        return 2
    except (OSError, UnicodeDecodeError, ValueError, ManifestError) as error:
        print(printable(f"sql_lineage.py: {error}"), file=sys.stderr)
        _discard_output()
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
