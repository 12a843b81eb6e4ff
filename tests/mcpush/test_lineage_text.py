"""Lineage of logged statements, with full names: guessed names, and names that are left out and counted."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path

import pytest
from mcpush.collect.collector import Options
from mcpush.collect.filters import Filters
from mcpush.lineage.graph import LineageTarget, merge_by_target
from mcpush.lineage.query_log import FullName, LoggedStatement, statement_lineage
from mcpush.lineage.schema_manifest import add_schema_argument, schema_of
from mcpush.manifest import ManifestError
from mcpush.records import Asset, Json
from mcpush.sql import Defaults, TableName
from mcpush.sql.session import Skip

UNKNOWN = "no schema"


def options(*argv: str) -> Options:
    parser = ArgumentParser()
    add_schema_argument(parser)
    return Options(Filters(), parser.parse_args(argv))


def read(to: Options, *statements: str) -> list[LineageTarget]:
    """The lineage of the statements. Unqualified names are guessed to be in PUBLIC; names with X have no full name."""

    def complete(table: TableName) -> FullName | None:
        if table.name.startswith("X"):
            to.skip(UNKNOWN, table.name)
            return None
        return FullName(Asset("TABLE", "D", table.schema or "PUBLIC", table.name), is_sure=bool(table.schema))

    logged = (LoggedStatement(text, defaults=Defaults("D")) for text in statements)
    return list(statement_lineage(logged, "snowflake", complete, to.skip, origin="somewhere"))


def test_tables_and_columns_have_the_origin_and_certainty_of_the_log() -> None:
    to = options()
    (found,) = read(to, "INSERT INTO S.T (A) SELECT U.B FROM S.U AS U")
    assert found.record().to_json() == {
        "destination": {"type": "TABLE", "database": "D", "schema": "S", "name": "T"},
        "sources": [{"type": "TABLE", "database": "D", "schema": "S", "name": "U"}],
        "columns": [{"name": "A", "sources": [{"source": 0, "name": "B"}]}],
        "origin": "somewhere",
        "certainty": "parsed",
    }
    assert to.skipped == {}


def test_a_guessed_name_makes_its_edges_less_certain() -> None:
    texts = ("INSERT INTO S.T SELECT A FROM U", "INSERT INTO V SELECT A FROM S.U", "INSERT INTO S.W SELECT A FROM S.U")
    found = {each.asset.name: each.certainty for each in read(options(), *texts)}
    assert found == {"T": "partial", "V": "partial", "W": "parsed"}


def test_tables_without_a_full_name_are_left_out_with_their_columns() -> None:
    to = options()
    found = read(
        to,
        "INSERT INTO S.T (A, B) SELECT X1.C, U.D FROM X1 JOIN S.U AS U ON TRUE",
        "INSERT INTO X2 SELECT A FROM S.U",
        "INSERT INTO S.V SELECT A FROM X3",
    )
    (record,) = [each.record().to_json() for each in found]
    assert [source["name"] for source in record["sources"]] == ["U"]
    assert record["columns"] == [{"name": "B", "sources": [{"source": 0, "name": "D"}]}]
    assert to.skipped == {UNKNOWN: 3}


def test_unparsable_statements_are_counted_with_an_example() -> None:
    to = options()
    assert read(to, "INSERT INTO S.T SELECT FROM WHERE (", "INSERT INTO S.T SELECT FROM WHERE ((") == []
    (reason,) = to.skipped
    assert to.skipped[reason] == 2
    assert "INSERT INTO S.T" in to.skipped_examples[reason]


def test_no_part_of_a_secret_is_in_the_example_of_a_skipped_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lineage workers cut the text, and do not have the variables with the secrets."""
    monkeypatch.setenv("A_PASSWORD", "s3cret-of-the-test")
    for length in (*range(130, 210), *range(250, 310)):
        text = "INSERT INTO S.T SELECT FROM WHERE ( '".ljust(length, "x")
        to = options()
        to.skip("cannot be parsed", Skip.of("cannot be parsed", f"{text}s3cret-of-the-test").example)
        assert to.skipped_examples == {"cannot be parsed": f"{text}***"[:300]}


def test_two_names_of_one_table_become_one_destination() -> None:
    texts = ("INSERT INTO PUBLIC.T (A) SELECT B FROM S.U", "INSERT INTO T (A) SELECT C FROM S.W")
    found = read(options(), *texts)
    assert len(found) == 2
    (record,) = [each.record().to_json() for each in merge_by_target(found).values()]
    assert [source["name"] for source in record["sources"]] == ["U", "W"]
    assert [source["name"] for source in record["columns"][0]["sources"]] == ["B", "C"]
    assert record["certainty"] == "partial"


def test_a_schema_manifest_is_the_catalog_and_without_one_the_catalog_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "metadata.jsonl"
    lines: list[Json] = [
        {"manifest": "metadata", "version": 1, "warehouse": "snowflake", "resource_type": "snowflake",
         "collected_at": "2026-01-01T00:00:00Z", "window": None, "options": {}},
        {"type": "VIEW", "database": "D", "schema": "S", "name": "V", "fields": [{"name": "A", "type": "DATE"}]},
        {"end": True, "records": 1, "skipped": {}, "skipped_examples": {}},
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = schema_of(options("--schema-manifest", str(path)).arguments).find(("D", "S", "V"))
    assert found is not None
    assert (found[0].kind, found[1]) == ("VIEW", ("A",))
    assert len(schema_of(options().arguments)) == 0


@pytest.mark.parametrize("content", [None, "# a README\n", '{"manifest": "query_logs", "version": 1}\n'])
def test_the_remedy_for_a_wrong_schema_manifest_names_the_option(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "other.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ManifestError) as caught:
        schema_of(options("--schema-manifest", str(path)).arguments)
    assert "--schema-manifest" in caught.value.remedy
    assert str(path) in str(caught.value)
