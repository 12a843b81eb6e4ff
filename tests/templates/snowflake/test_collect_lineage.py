"""Tests lineage edges, each exactly once: from ACCESS_HISTORY and OBJECT_DEPENDENCIES, or else from the statements'
texts.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from tests.collected import Collected, Record
from tests.templates.snowflake.conftest import Templates
from tests.templates.snowflake.facts import add_access, add_change, add_statement, exist, table
from tests.warehouses.snowflake.shop import DOTTED_NAME
from tests.warehouses.snowflake.shop_model import Name, Shop

Edge = tuple[Name, Name]
ColumnEdge = tuple[Name, str, Name, str]

OVERLAP = timedelta(hours=6)
CUT = "names truncated by Snowflake: record too large"
FALLBACK = "ACCESS_HISTORY not readable: lineage parsed from query text, with lower certainty"
EMPTY = "ACCESS_HISTORY is empty: lineage parsed from query text, with lower certainty"
NO_ASSET = "source or target is not a table, view, stage or path"


def name_of(reference: Record) -> Name:
    return reference["database"], reference["schema"], reference["name"]


def edges(collected: Collected, *, external: bool = False) -> set[Edge]:
    """(source, destination) for all records. Includes stages only on request."""
    return {
        (name_of(source), name_of(record["destination"]))
        for record in collected.records
        for source in record["sources"]
        if external or source["type"] != "EXTERNAL"
    }


def column_edges(collected: Collected) -> set[ColumnEdge]:
    return {
        (name_of(record["sources"][source["source"]]), source["name"], name_of(record["destination"]), column["name"])
        for record in collected.records
        for column in record["columns"]
        for source in column["sources"]
    }


def by_destination(collected: Collected) -> dict[Name, Record]:
    found = {name_of(record["destination"]): record for record in collected.records}
    assert len(found) == len(collected.records), "a destination is duplicated"
    return found


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@pytest.fixture
def window(shop: Shop) -> tuple[datetime, datetime]:
    return shop.now - timedelta(hours=18), shop.now - timedelta(hours=4)


def span(window: tuple[datetime, datetime]) -> tuple[str, ...]:
    return "--since", iso(window[0]), "--until", iso(window[1])


def test_table_and_column_edges_match_the_writes(
    shop_templates: Templates, shop: Shop, window: tuple[datetime, datetime]
) -> None:
    collected = shop_templates.collect("lineage", *span(window))
    seen = window[0] - OVERLAP, window[1]
    written = shop.table_lineage(*seen)
    assert len(written) > 50
    assert edges(collected) == written | shop.dependencies()
    flows = {
        (source, column, target, target_column)
        for target, found in shop.column_lineage(*seen).items()
        for target_column, source, column in found
        if source != target
    }
    assert flows
    assert column_edges(collected) == flows
    found = by_destination(collected)
    for name, record in found.items():
        assert record["destination"]["type"] == ("VIEW" if shop.relations[name].is_view else "TABLE")
        assert record["certainty"] == ("parsed" if shop.relations[name].kind == "dynamic table" else "exact")
        assert name not in [name_of(source) for source in record["sources"]], "an edge to itself"
    assert DOTTED_NAME in found
    origins = {"access_history", "object_dependencies", "dynamic_table_text"}
    assert {record["origin"] for record in collected.records} == origins


def test_a_load_from_a_stage_has_the_stage_as_source(
    shop_templates: Templates, shop: Shop, window: tuple[datetime, datetime]
) -> None:
    collected = shop_templates.collect("lineage", *span(window))
    loaded = edges(collected, external=True) - edges(collected)
    assert loaded
    assert {source[2] for source, _ in loaded} == {"LANDING"}


def test_a_record_that_snowflake_truncated_is_counted(shop_templates: Templates, shop: Shop) -> None:
    collected = shop_templates.collect(
        "lineage", *span((shop.now - timedelta(hours=20), shop.now - timedelta(hours=4)))
    )
    assert shop.truncated_query_ids
    assert collected.skipped[CUT] > 0
    assert "TRUNCATED" not in json.dumps(collected.records)


def test_filters_apply_to_the_destination_and_list_shows_it(
    shop_templates: Templates, shop: Shop, window: tuple[datetime, datetime]
) -> None:
    options = (*span(window), "--include", "ANALYTICS.MARTS.*")
    listed = shop_templates.run("lineage", "--list", *options).check()
    assert shop_templates.leftovers() == []
    collected = shop_templates.collect("lineage", *options)
    names = {".".join(name) for name in by_destination(collected)}
    assert names
    assert all(name.startswith("ANALYTICS.MARTS.") for name in names)
    assert {line.partition(" <- ")[0] for line in listed.stdout.splitlines()} == names


@pytest.mark.parametrize("reason", [FALLBACK, EMPTY])
def test_without_access_history_lineage_comes_from_the_statements(
    shop_templates: Templates, shop: Shop, window: tuple[datetime, datetime], reason: str
) -> None:
    server = shop_templates.server
    if reason == FALLBACK:
        server.deny("SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY")
    else:
        server.sql('CREATE TABLE facts.kept AS FROM facts."SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY"')
        server.sql('DELETE FROM facts."SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY"')
    try:
        run = shop_templates.run("lineage", *span(window)).check()
    finally:
        if reason == EMPTY:
            server.sql('INSERT INTO facts."SNOWFLAKE.ACCOUNT_USAGE.ACCESS_HISTORY" FROM facts.kept')
            server.sql("DROP TABLE facts.kept")
    assert f"warning: {reason}" in run.stderr
    collected = Collected.read(shop_templates.manifest("lineage"))
    assert collected.skipped[reason] == 1
    written = shop.table_lineage(window[0] - OVERLAP, window[1])
    assert edges(collected) >= written | shop.dependencies()
    found = by_destination(collected)
    targets = {target for _, target in written}
    assert {found[target]["origin"] for target in targets} == {"query_text"}
    assert {found[target]["certainty"] for target in targets} <= {"parsed", "partial"}


def test_without_dependencies_the_written_edges_remain(
    shop_templates: Templates, shop: Shop, window: tuple[datetime, datetime]
) -> None:
    shop_templates.server.deny("SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES")
    collected = shop_templates.collect("lineage", *span(window))
    dynamic = {(source, r.name) for r in shop.own() if r.kind == "dynamic table" for source in r.sources}
    assert dynamic
    assert edges(collected) == shop.table_lineage(window[0] - OVERLAP, window[1]) | dynamic
    assert collected.skipped["view lineage not readable (SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES)"] == 1


def test_a_role_without_grants_gets_no_lineage_and_a_count_for_each_view(shop_templates: Templates) -> None:
    views = ("ACCESS_HISTORY", "OBJECT_DEPENDENCIES", "QUERY_HISTORY")
    shop_templates.server.deny(*(f"SNOWFLAKE.ACCOUNT_USAGE.{view}" for view in views))
    run = shop_templates.run("lineage")
    assert run.exit_code == 3, "an empty manifest would look like an account without lineage"
    assert shop_templates.leftovers() == []


def test_an_account_without_history_is_a_success(templates: Templates) -> None:
    assert templates.collect("lineage").records == []


def test_a_schema_manifest_expands_stars(templates: Templates) -> None:
    add_statement(templates, "CREATE TABLE D.S.COPY AS SELECT * FROM D.S.T", 1)
    schema = templates.work / "metadata.jsonl"
    records = [
        {"manifest": "metadata", "version": 1, "warehouse": "snowflake", "resource_type": "snowflake",
         "collected_at": "2026-01-01T00:00:00Z", "window": None, "options": {}},
        {"type": "TABLE", "database": "D", "schema": "S", "name": "T", "fields": [{"name": "A", "type": "DATE"}]},
        {"end": True, "records": 1, "skipped": {}, "skipped_examples": {}},
    ]  # fmt: skip
    schema.write_text("".join(json.dumps(record) + "\n" for record in records))
    collected = templates.collect("lineage", "--from-query-text", "--schema-manifest", str(schema))
    assert column_edges(collected) == {(("D", "S", "T"), "A", ("D", "S", "COPY"), "A")}


def test_temporary_tables_of_a_session_are_replaced_by_their_sources(templates: Templates) -> None:
    add_statement(templates, "CREATE TEMPORARY TABLE STEP AS SELECT A FROM T", 1)
    add_statement(templates, "INSERT INTO RESULT SELECT A FROM STEP", 2)
    add_statement(templates, "<redacted>", 3)
    collected = templates.collect("lineage", "--from-query-text")
    assert edges(collected) == {(("D", "S", "T"), ("D", "S", "RESULT"))}
    assert collected.skipped["query text redacted by Snowflake"] == 1


def test_names_are_split_by_the_quoting_rules(templates: Templates) -> None:
    add_access(
        templates,
        modified=[table('"we""ird.db"."a b"."x.""y"".z"', columns={"c": [("RAW.S.T", "d")]})],
        accessed=[table("RAW.S.T")],
    )
    collected = templates.collect("lineage")
    assert [name_of(record["destination"]) for record in collected.records] == [('we"ird.db', "a b", 'x."y".z')]
    assert collected.records[0]["columns"] == [{"name": "c", "sources": [{"source": 0, "name": "d"}]}]


def test_a_stream_is_replaced_by_its_base_table(templates: Templates) -> None:
    target = table("D.S.TARGET", columns={"A": [("D.S.STREAM", "B")]}, source_domain="Stream", base=("D.S.T", "B"))
    add_access(templates, modified=[target], accessed=[table("D.S.STREAM", "Stream")], base=[table("D.S.T")])
    collected = templates.collect("lineage")
    assert edges(collected) == {(("D", "S", "T"), ("D", "S", "TARGET"))}
    assert column_edges(collected) == {(("D", "S", "T"), "B", ("D", "S", "TARGET"), "A")}
    assert collected.skipped == {}


def test_functions_and_the_table_itself_are_left_out_and_unknown_objects_counted(templates: Templates) -> None:
    target = table("D.S.TARGET", columns={"A": [("D.S.TARGET", "A"), ("D.S.T", "B")]})
    accessed = [
        table("D.S.TARGET"),
        table("D.S.T", "TABLE"),
        table("D.S.F(NUMBER)", "Function"),
        table("D.S.SOMETHING", "Novelty"),
    ]
    add_access(templates, modified=[target], accessed=accessed)
    collected = templates.collect("lineage")
    assert edges(collected, external=True) == {(("D", "S", "T"), ("D", "S", "TARGET"))}
    assert column_edges(collected) == {(("D", "S", "T"), "B", ("D", "S", "TARGET"), "A")}
    assert collected.skipped == {NO_ASSET: 1}


@pytest.mark.parametrize("options", [(), ("--from-query-text",)])
def test_external_paths_have_the_same_name_from_every_source(templates: Templates, options: tuple[str, ...]) -> None:
    path = {"objectDomain": "Stage", "location": "s3://lake/orders/", "stageKind": "External Unnamed"}
    stage = {"objectDomain": "Stage", "objectName": "D.S.LANDING", "stageKind": "Internal Named"}
    add_access(templates, modified=[table("D.S.T")], accessed=[stage])
    add_access(templates, modified=[path], accessed=[table("D.S.T")])
    add_statement(templates, "COPY INTO D.S.T FROM @D.S.LANDING/2026/", 1)
    add_statement(templates, "COPY INTO 's3://lake/orders/' FROM D.S.T", 2)
    collected = templates.collect("lineage", *options)
    assert edges(collected, external=True) == {
        (("D", "S", "LANDING"), ("D", "S", "T")),
        (("D", "S", "T"), ("s3", "lake", "s3://lake/orders/")),
    }


def test_writes_and_the_definition_of_a_dynamic_table_give_one_record(templates: Templates) -> None:
    add_access(templates, modified=[table("D.S.DYN")], accessed=[table("D.S.T")])
    templates.server.insert(
        "SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES",
        [
            {
                "REFERENCED_DATABASE": "D",
                "REFERENCED_SCHEMA": "S",
                "REFERENCED_OBJECT_NAME": name,
                "REFERENCED_OBJECT_DOMAIN": "TABLE",
                "REFERENCING_DATABASE": "D",
                "REFERENCING_SCHEMA": "S",
                "REFERENCING_OBJECT_NAME": "DYN",
                "REFERENCING_OBJECT_DOMAIN": "DYNAMIC TABLE",
            }
            for name in ("T", "U")
        ],
    )
    (record,) = templates.collect("lineage").records
    assert [name_of(source)[2] for source in record["sources"]] == ["T", "U"]


@pytest.mark.parametrize("options", [(), ("--from-query-text",)])
def test_the_text_of_a_dynamic_table_gives_table_and_column_lineage(
    templates: Templates, options: tuple[str, ...]
) -> None:
    add_access(templates, modified=[table("D.S.OTHER")], accessed=[table("D.S.T")])
    made = "CREATE DYNAMIC TABLE {} TARGET_LAG = '1 hour' WAREHOUSE = W AS SELECT t.A AS X, u.B FROM t, E.R.U AS u"
    place = {"database_name": "D", "schema_name": "S"}
    templates.server.insert(
        "SHOW DYNAMIC TABLES",
        [
            {**place, "name": "DYN", "text": made.format("dyn")},
            {**place, "name": "HIDDEN", "text": None},
            {**place, "name": "NEW_NAME", "text": made.format("OLD_NAME")},
        ],
    )
    collected = templates.collect("lineage", *options)
    record = by_destination(collected)["D", "S", "DYN"]
    assert (record["origin"], record["certainty"]) == ("dynamic_table_text", "parsed")
    assert {name_of(source) for source in record["sources"]} == {("D", "S", "T"), ("E", "R", "U")}
    assert {edge for edge in column_edges(collected) if edge[2] == ("D", "S", "DYN")} == {
        (("D", "S", "T"), "A", ("D", "S", "DYN"), "X"),
        (("E", "R", "U"), "B", ("D", "S", "DYN"), "B"),
    }
    assert collected.skipped == {
        "dynamic table definition not visible (needs MONITOR)": 1,
        "dynamic table definition names another table (renamed or cloned)": 1,
    }


def test_a_stage_that_two_statements_unload_to_is_one_destination(templates: Templates) -> None:
    add_statement(templates, "COPY INTO @D.S.UNLOADED/a/ FROM D.S.T", 1)
    add_statement(templates, "COPY INTO @D.S.UNLOADED/b/ FROM D.S.U", 2)
    (record,) = templates.collect("lineage", "--from-query-text").records
    assert name_of(record["destination"]) == ("D", "S", "UNLOADED")
    assert [name_of(source)[2] for source in record["sources"]] == ["T", "U"]


def test_a_view_named_as_a_table_in_a_text_is_a_single_view_source(templates: Templates) -> None:
    made = "CREATE DYNAMIC TABLE dyn TARGET_LAG = '1 hour' WAREHOUSE = W AS SELECT v.A FROM v"
    place = {"database_name": "D", "schema_name": "S"}
    templates.server.insert("SHOW DYNAMIC TABLES", [{**place, "name": "DYN", "text": made}])
    templates.server.insert(
        "SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES",
        [
            {
                "REFERENCED_DATABASE": "D",
                "REFERENCED_SCHEMA": "S",
                "REFERENCED_OBJECT_NAME": "V",
                "REFERENCED_OBJECT_DOMAIN": "VIEW",
                "REFERENCING_DATABASE": "D",
                "REFERENCING_SCHEMA": "S",
                "REFERENCING_OBJECT_NAME": "DYN",
                "REFERENCING_OBJECT_DOMAIN": "DYNAMIC TABLE",
            }
        ],
    )
    (record,) = templates.collect("lineage").records
    assert record["sources"] == [{"type": "VIEW", "database": "D", "schema": "S", "name": "V"}]
    assert record["columns"] == [{"name": "A", "sources": [{"source": 0, "name": "A"}]}]


def test_a_statement_still_running_at_the_last_windows_end_is_found_later(templates: Templates) -> None:
    state = templates.work / "state.json"
    first = templates.collect("lineage", "--state", str(state))
    assert first.records == []
    started = datetime.now(timezone.utc) - timedelta(hours=5)  # before the end of that window, but shown only now
    add_access(templates, modified=[table("D.S.B")], accessed=[table("D.S.A")], at=started)
    assert edges(templates.collect("lineage", "--state", str(state))) == {(("D", "S", "A"), ("D", "S", "B"))}


MISSING_DESTINATION = "destination no longer in the catalog (renamed, dropped or temporary)"


@pytest.mark.parametrize("columns", [True, False])
def test_the_base_tables_of_a_dropped_view_replace_it(templates: Templates, columns: bool) -> None:
    """dbt's incremental models: merged from a temporary view that appears only in the session's statements."""
    exist(templates, "D.S.FCT", "D.S.T", "D.S.KEPT")
    fct = table("D.S.FCT", columns={"A": [("D.S.FCT__DBT_TMP", "X")]}, source_domain="View", base=("D.S.T", "B"))
    fct["columns"] += table("D.S.FCT", columns={"C": [("D.S.KEPT", "Y")]}, source_domain="View", base=("D.S.U", "Z"))[
        "columns"
    ]
    add_access(
        templates,
        modified=[fct if columns else table("D.S.FCT")],
        accessed=[table("D.S.FCT__DBT_TMP", "View"), table("D.S.KEPT", "View")],
        base=[table("D.S.T")] + [table("D.S.U")] * columns,
    )
    collected = templates.collect("lineage")
    assert edges(collected) == {(("D", "S", name), ("D", "S", "FCT")) for name in ("T", "KEPT")}
    if columns:
        assert column_edges(collected) == {
            (("D", "S", "T"), "B", ("D", "S", "FCT"), "A"),
            (("D", "S", "KEPT"), "Y", ("D", "S", "FCT"), "C"),
        }
    assert collected.skipped == {}


def test_tables_that_a_dropped_view_only_joins_or_filters_by_are_sources_too(templates: Templates) -> None:
    """If nothing else was read except the target itself, all base tables of the statement belong to the view."""
    exist(templates, "D.S.FCT", "D.S.T", "D.S.WANTED")
    fct = table("D.S.FCT", columns={"A": [("D.S.FCT__DBT_TMP", "X")]}, source_domain="View", base=("D.S.T", "B"))
    add_access(
        templates,
        modified=[fct],
        accessed=[table("D.S.FCT__DBT_TMP", "View"), table("D.S.FCT")],
        base=[table("D.S.T"), table("D.S.WANTED"), table("D.S.FCT")],
    )
    collected = templates.collect("lineage")
    assert edges(collected) == {(("D", "S", name), ("D", "S", "FCT")) for name in ("T", "WANTED")}
    assert column_edges(collected) == {(("D", "S", "T"), "B", ("D", "S", "FCT"), "A")}


def test_a_view_read_together_with_a_stream_stays_a_source(templates: Templates) -> None:
    target = table("D.S.TARGET", columns={"A": [("D.S.STREAM", "B")]}, source_domain="Stream", base=("D.S.T", "B"))
    target["columns"] += table(
        "D.S.TARGET", columns={"C": [("D.S.V", "X")]}, source_domain="View", base=("D.S.L", "X")
    )["columns"]
    read = [table("D.S.STREAM", "Stream"), table("D.S.V", "View")]
    add_access(templates, modified=[target], accessed=read, base=[table("D.S.T"), table("D.S.L")])
    collected = templates.collect("lineage")
    assert edges(collected) == {(("D", "S", name), ("D", "S", "TARGET")) for name in ("T", "V")}


@pytest.mark.parametrize("options", [(), ("--from-query-text",)])
def test_a_swapped_table_gets_the_lineage_of_the_other(templates: Templates, options: tuple[str, ...]) -> None:
    exist(templates, "D.S.DIM", "D.S.T")
    add_access(templates, modified=[table("D.S.DIM_NEW", columns={"A": [("D.S.T", "B")]})], accessed=[table("D.S.T")])
    add_change(templates, "D.S.DIM_NEW", swapTargetName="D.S.DIM")
    add_change(templates, "D.S.DIM", swapTargetName="D.S.DIM_NEW")
    add_statement(templates, "CREATE TABLE D.S.DIM_NEW AS SELECT B AS A FROM D.S.T", 1)
    add_statement(templates, "ALTER TABLE D.S.DIM_NEW SWAP WITH D.S.DIM", 2)
    add_statement(templates, "DROP TABLE D.S.DIM_NEW", 3)
    collected = templates.collect("lineage", *options)
    assert edges(collected) == {(("D", "S", "T"), ("D", "S", "DIM"))}
    assert column_edges(collected) == {(("D", "S", "T"), "B", ("D", "S", "DIM"), "A")}
    assert collected.skipped == {MISSING_DESTINATION: 1}


def test_a_renamed_table_keeps_its_lineage(templates: Templates) -> None:
    exist(templates, "D.S.NEW", "D.S.T")
    add_access(templates, modified=[table("D.S.OLD")], accessed=[table("D.S.T")])
    add_change(templates, "D.S.OLD", objectName="D.S.MIDDLE")
    add_change(templates, "D.S.MIDDLE", objectName="D.S.NEW", minutes=1)
    collected = templates.collect("lineage")
    assert edges(collected) == {(("D", "S", "T"), ("D", "S", "NEW"))}
    assert collected.skipped == {MISSING_DESTINATION: 2}


def test_temporary_tables_are_replaced_by_their_sources(templates: Templates) -> None:
    exist(templates, "D.S.RESULT", "D.S.T")
    exist(templates, "D.S.STEP", kind="TEMPORARY TABLE")
    add_access(templates, modified=[table("D.S.STEP", columns={"A": [("D.S.T", "B")]})], accessed=[table("D.S.T")])
    add_access(
        templates, modified=[table("D.S.RESULT", columns={"C": [("D.S.STEP", "A")]})], accessed=[table("D.S.STEP")]
    )
    add_access(templates, modified=[table("SHARED.S.X")], accessed=[table("SHARED.S.Y")])
    collected = templates.collect("lineage")
    assert edges(collected) == {
        (("D", "S", "T"), ("D", "S", "RESULT")),
        (("SHARED", "S", "Y"), ("SHARED", "S", "X")),  # nothing is known about that database
    }
    assert column_edges(collected) == {(("D", "S", "T"), "B", ("D", "S", "RESULT"), "C")}
    assert collected.skipped == {MISSING_DESTINATION: 1}
    filtered = templates.collect("lineage", "--include", "D.S.RESULT")
    assert edges(filtered) == {(("D", "S", "T"), ("D", "S", "RESULT"))}
    assert filtered.skipped == {}, "dropped tables are outside the filter"


def test_all_edges_stay_and_a_reason_is_counted_if_the_catalog_is_unreadable(templates: Templates) -> None:
    exist(templates, "D.S.RESULT")
    add_access(templates, modified=[table("D.S.STEP")], accessed=[table("D.S.V", "View")], base=[table("D.S.T")])
    templates.server.deny("SNOWFLAKE.ACCOUNT_USAGE.TABLES")
    collected = templates.collect("lineage")
    assert edges(collected) == {(("D", "S", "V"), ("D", "S", "STEP"))}
    assert collected.skipped == {"dropped tables unknown (SNOWFLAKE.ACCOUNT_USAGE.TABLES not readable)": 1}


@pytest.mark.parametrize("options", [(), ("--from-query-text",)])
def test_local_files_and_temporary_stages_are_not_assets(templates: Templates, options: tuple[str, ...]) -> None:
    passing = {"objectDomain": "Stage", "objectName": "D.S.SNOWPARK_TEMP_STAGE_Q1W2E3", "stageKind": "Internal Named"}
    kept = {"objectDomain": "Stage", "objectName": "D.S.LANDING", "stageKind": "Internal Named"}
    file = {"location": "file:///Users/ada/orders.csv"}
    add_access(templates, modified=[passing], accessed=[file])
    add_access(templates, modified=[kept], accessed=[file])
    add_access(templates, modified=[table("D.S.T")], accessed=[passing])
    add_access(templates, modified=[file], accessed=[kept])
    add_access(templates, modified=[table("D.S.U")], accessed=[kept])
    add_statement(templates, "PUT file:///Users/ada/orders.csv @D.S.LANDING", 1)
    add_statement(templates, "COPY INTO D.S.T FROM @D.S.SNOWPARK_TEMP_STAGE_Q1W2E3", 2)
    add_statement(templates, "GET @D.S.LANDING file:///Users/ada/", 3)
    add_statement(templates, "COPY INTO D.S.U FROM @D.S.LANDING", 4)
    collected = templates.collect("lineage", *options)
    assert edges(collected, external=True) == {(("D", "S", "LANDING"), ("D", "S", "U"))}
    assert collected.skipped["temporary stage of Snowpark or write_pandas"] > 0
    assert "ada" not in json.dumps(collected.records)


def test_a_table_can_be_loaded_from_the_stage_of_its_name(templates: Templates) -> None:
    stage = {"objectDomain": "Stage", "objectName": "D.S.CLICKS", "stageKind": "Table"}
    add_access(templates, modified=[table("D.S.CLICKS")], accessed=[stage])
    add_access(templates, modified=[stage], accessed=[table("D.S.T")])
    found = {record["destination"]["type"]: record for record in templates.collect("lineage").records}
    assert [source["type"] for source in found["TABLE"]["sources"]] == ["EXTERNAL"]
    assert [name_of(source)[2] for source in found["EXTERNAL"]["sources"]] == ["T"]
