"""Tests which statements and definitions give lineage, and of which kind. Compares complete records."""

from __future__ import annotations

from typing import Any

import pytest

from tests.collected import Record
from tests.templates.snowflake.conftest import Templates
from tests.templates.snowflake.facts import add_access, add_change, add_dependency, add_statement, asset, exist, table
from tests.warehouses.snowflake.faults import Fault

NO_ACCESS_HISTORY = "ACCESS_HISTORY not readable: lineage parsed from query text, with lower certainty"
NO_RENAMES = "renamed and swapped tables unknown (OBJECT_MODIFIED_BY_DDL of ACCESS_HISTORY not readable)"


def record(target: Record, *sources: Record, origin: str, certainty: str = "exact") -> Record:
    """A record without columns."""
    return {
        "destination": target,
        "sources": list(sources),
        "columns": [],
        "origin": origin,
        "certainty": certainty,
    }


def by_name(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda each: str(each["destination"]["name"]))


@pytest.mark.parametrize("domain", ["VIEW", "MATERIALIZED VIEW"])
def test_sources_of_a_view_have_their_own_type(templates: Templates, domain: str) -> None:
    add_access(templates, modified=[table("D.S.W")], accessed=[table("D.S.T")])
    kinds = {
        "TABLE": "TABLE",
        "EXTERNAL TABLE": "TABLE",
        "DYNAMIC TABLE": "TABLE",
        "VIEW": "VIEW",
        "MATERIALIZED VIEW": "VIEW",
    }
    for view in ("V1", "V2", "V3"):
        for kind in kinds:
            add_dependency(templates, f"D.S.{view}", domain, f"D.S.{view} ON {kind}", kind)
    collected = templates.collect("lineage")
    views = [
        record(
            asset("VIEW", f"D.S.{view}"),
            *(asset(kinds[kind], f"D.S.{view} ON {kind}") for kind in sorted(kinds)),
            origin="object_dependencies",
        )
        for view in ("V1", "V2", "V3")
    ]
    written = record(asset("TABLE", "D.S.W"), asset("TABLE", "D.S.T"), origin="access_history")
    assert by_name(collected.records) == [*views, written]
    assert collected.skipped == {}


def test_only_successful_statements_that_can_write_are_read(templates: Templates) -> None:
    statuses: dict[str, dict[str, Any]] = {
        "FAILED": {"EXECUTION_STATUS": "fail"},
        "INCIDENT": {"EXECUTION_STATUS": "incident"},
        "SUCCEEDED": {"EXECUTION_STATUS": "SUCCESS"},
        "UNKNOWN_TYPE": {"QUERY_TYPE": None},
        "SELECTED": {"QUERY_TYPE": "SELECT"},
        "SHOWN": {"QUERY_TYPE": "SHOW"},
    }
    for number, (name, columns) in enumerate(statuses.items(), 1):
        add_statement(templates, f"INSERT INTO D.S.{name} SELECT * FROM D.S.T", number, **columns)
    collected = templates.collect("lineage", "--from-query-text")
    assert by_name(collected.records) == [
        record(asset("TABLE", f"D.S.{name}"), asset("TABLE", "D.S.T"), origin="query_text", certainty="parsed")
        for name in ("SUCCEEDED", "UNKNOWN_TYPE")
    ]
    assert collected.skipped == {}


def test_an_edition_without_access_history_is_read_from_texts(templates: Templates) -> None:
    add_statement(templates, "INSERT INTO D.S.W SELECT * FROM D.S.T", 1)
    message = "Unsupported feature 'ACCESS_HISTORY'."
    templates.server.break_with(Fault("error", contains="DIRECT_OBJECTS_ACCESSED", code="000002", message=message))
    collected = templates.collect("lineage")
    source, target = asset("TABLE", "D.S.T"), asset("TABLE", "D.S.W")
    assert collected.records == [record(target, source, origin="query_text", certainty="parsed")]
    assert collected.skipped == {NO_ACCESS_HISTORY: 1}


def test_unreadable_renames_are_counted_and_names_stay_as_written(templates: Templates) -> None:
    """The account may not have the column, or may use it differently. The rest of the lineage does not need it."""
    add_access(templates, modified=[table("D.S.OLD")], accessed=[table("D.S.T")])
    add_change(templates, "D.S.OLD", objectName="D.S.NEW")
    message = "SQL compilation error: invalid identifier 'HISTORY.OBJECT_MODIFIED_BY_DDL'"
    templates.server.break_with(Fault("error", contains="OBJECT_MODIFIED_BY_DDL", code="000904", message=message))
    collected = templates.collect("lineage")
    source, target = asset("TABLE", "D.S.T"), asset("TABLE", "D.S.OLD")
    assert collected.records == [record(target, source, origin="access_history")]
    assert collected.skipped == {NO_RENAMES: 1}


@pytest.mark.parametrize("domain", ["Table", "Iceberg table"])
def test_every_kind_of_table_keeps_its_lineage_when_it_is_renamed(templates: Templates, domain: str) -> None:
    exist(templates, "D.S.NEW", "D.S.T")
    add_access(templates, modified=[table("D.S.OLD", domain)], accessed=[table("D.S.T")])
    add_change(templates, "D.S.OLD", domain=domain, objectName="D.S.NEW")
    source, target = asset("TABLE", "D.S.T"), asset("TABLE", "D.S.NEW")
    assert templates.collect("lineage").records == [record(target, source, origin="access_history")]


def test_the_right_one_of_two_swapped_existing_tables_gets_the_lineage(templates: Templates) -> None:
    exist(templates, "D.S.DIM", "D.S.SPARE", "D.S.T")
    add_access(templates, modified=[table("D.S.SPARE")], accessed=[table("D.S.T")])
    add_change(templates, "D.S.SPARE", swapTargetName="D.S.DIM")
    add_change(templates, "D.S.DIM", swapTargetName="D.S.SPARE")
    source, target = asset("TABLE", "D.S.T"), asset("TABLE", "D.S.DIM")
    collected = templates.collect("lineage", "--include", "D.S.DIM")
    assert collected.records == [record(target, source, origin="access_history")]


def test_all_base_tables_of_a_dropped_view_are_sources_if_nothing_else_was_read(templates: Templates) -> None:
    """Columns that the view uses only for joins or filters have no column in the target."""
    exist(templates, "D.S.FCT", "D.S.T", "D.S.WANTED")
    view = ("D.S.FCT__DBT_TMP", "X")
    add_access(
        templates,
        modified=[table("D.S.FCT", columns={"A": [view]}, source_domain="View", base=("D.S.T", "B"))],
        accessed=[table(view[0], "View")],
        base=[table("D.S.T"), table("D.S.WANTED")],
    )
    sources = asset("TABLE", "D.S.T"), asset("TABLE", "D.S.WANTED")
    read = record(asset("TABLE", "D.S.FCT"), *sources, origin="access_history")
    read["columns"] = [{"name": "A", "sources": [{"source": 0, "name": "B"}]}]
    assert templates.collect("lineage").records == [read]


def test_a_stage_in_lowercase_in_a_text_is_the_stage_in_the_catalog(templates: Templates) -> None:
    add_statement(templates, "copy into d.s.t from @d.s.landing/2026/", 1)
    source, target = asset("EXTERNAL", "D.S.LANDING"), asset("TABLE", "D.S.T")
    collected = templates.collect("lineage", "--from-query-text")
    assert collected.records == [record(target, source, origin="query_text", certainty="parsed")]


@pytest.mark.parametrize("options", [(), ("--from-query-text",)])
def test_objects_too_new_for_the_catalog_view_do_not_count_as_dropped(
    templates: Templates, options: tuple[str, ...]
) -> None:
    """The catalog view lags. SHOW lists a new dynamic table immediately, and an object with a definition exists."""
    exist(templates, "D.S.T", "D.S.W")
    add_access(templates, modified=[table("D.S.W")], accessed=[table("D.S.T")])
    add_statement(templates, "INSERT INTO D.S.W SELECT * FROM D.S.T", 1)
    made = "CREATE DYNAMIC TABLE D.S.NEW TARGET_LAG = '1 hour' WAREHOUSE = W AS SELECT * FROM D.S.T"
    place = {"database_name": "D", "schema_name": "S"}
    templates.server.insert("SHOW DYNAMIC TABLES", [{**place, "name": "NEW", "text": made}])
    add_dependency(templates, "D.S.VIEW", "VIEW", "D.S.T", "TABLE")
    collected = templates.collect("lineage", *options)
    source = asset("TABLE", "D.S.T")
    written = {"origin": "query_text", "certainty": "parsed"} if options else {"origin": "access_history"}
    assert by_name(collected.records) == [
        record(asset("TABLE", "D.S.NEW"), source, origin="dynamic_table_text", certainty="parsed"),
        record(asset("VIEW", "D.S.VIEW"), source, origin="object_dependencies"),
        record(asset("TABLE", "D.S.W"), source, **written),
    ]
    assert collected.skipped == {}
