"""Tests end to end, through both drivers: Monte Carlo receives the contents of the warehouse, exactly once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.collected import Record
from tests.sandbox_process import SandboxProcess
from tests.script_process import Run, run_script
from tests.templates.snowflake.conftest import Templates
from tests.warehouses.snowflake import scale
from tests.warehouses.snowflake.shop_model import Name, Shop

METADATA, QUERY_LOGS = "/ingest/v1/metadata", "/ingest/v1/querylogs"


def collect_and_push(templates: Templates, sandbox: SandboxProcess, flow: str, *arguments: str) -> Run:
    return run_script(
        templates.folder,
        f"collect_and_push_{flow}.py",
        *("--manifest", str(templates.manifest(flow)), *arguments),
        env=templates.environment | sandbox.env,
    )


def arrived(sandbox: SandboxProcess, flow: str, run: Run) -> Iterator[Record]:
    for invocation in run.summary["invocation_ids"]:
        yield from sandbox.received(flow, invocation)


def name_of(asset: dict[str, Any]) -> Name:
    return asset["database"], asset["schema"], asset["name"]


def test_the_shop_arrives_table_by_table(shop_templates: Templates, shop: Shop, quiet_sandbox: SandboxProcess) -> None:
    run = collect_and_push(shop_templates, quiet_sandbox, "metadata").check()
    assets = [event["relational_asset"] for event in arrived(quiet_sandbox, "metadata", run)]
    found = {
        name_of(asset["metadata"]): (
            asset["type"],
            [(field["name"], field["type"]) for field in asset["fields"]],
            asset.get("volume", {}).get("row_count"),
        )
        for asset in assets
    }
    truth = {
        relation.name: (
            "VIEW" if relation.is_view else "TABLE",
            [(column.name, column.type) for column in relation.columns],
            relation.row_count,
        )
        for relation in shop.own()
    }
    assert len(truth) > 200
    assert found == truth
    assert len(assets) == len(truth)


def test_the_shops_lineage_arrives_edge_by_edge(
    shop_templates: Templates, shop: Shop, quiet_sandbox: SandboxProcess
) -> None:
    run = collect_and_push(shop_templates, quiet_sandbox, "lineage", "--lookback-hours", "48").check()
    events = list(arrived(quiet_sandbox, "lineage", run))
    destinations = Counter(name_of(event["destination"]) for event in events)
    assert max(destinations.values()) == 1, "a destination is duplicated"
    edges = {(name_of(source), name_of(event["destination"])) for event in events for source in event["sources"]}
    begin = shop.now - timedelta(days=3)
    own = {relation.name for relation in shop.own()}
    wanted = {edge for edge in shop.table_lineage(begin, shop.now - timedelta(hours=3, minutes=1)) if edge[1] in own}
    assert len(wanted) > 50
    assert wanted <= edges
    columns = Counter(len(event.get("fields", [])) > 0 for event in events)
    assert columns[True] > 20


def test_an_hourly_job_that_fails_midway_neither_misses_nor_repeats_records(
    templates: Templates, quiet_sandbox: SandboxProcess, tmp_path: Path
) -> None:
    end = (datetime.now(timezone.utc) - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    scale.many_queries(templates.server, end, rows=3_000, hours=6)
    state = tmp_path / "state.json"

    def hour(number: int) -> Run:
        until = (end - timedelta(hours=6 - number)).isoformat()
        arguments = ("--state", str(state), "--until", until, "--lookback-hours", "1", "--max-retry-seconds", "1")
        return collect_and_push(templates, quiet_sandbox, "query_logs", *arguments, "--workers", "1")

    hour(1).check(0)
    quiet_sandbox.fault(QUERY_LOGS, calls=[2, 3, 4, 5, 6, 7, 8, 9], status=503)
    before = state.read_bytes()
    broken = hour(2)
    assert broken.exit_code == 4, broken.stderr
    assert 0 < broken.summary["records_accepted"] < broken.summary["records"]
    assert state.read_bytes() == before, "the checkpoint passed records that were not accepted"
    quiet_sandbox.clear_faults()
    third = hour(3).check()
    assert "pushing the rest first" in third.stderr
    assert third.summary["resumed"]["records_accepted_before"] == broken.summary["records_accepted"]
    for number in (4, 5, 6):
        hour(number).check()
    found = Counter(event["query_id"] for event in quiet_sandbox.received("querylogs"))
    # The last query ends 50 ms after the last window, so it belongs to the next hour.
    assert set(found.values()) == {1}
    assert 2_998 <= len(found) <= 3_000


def test_one_query_that_is_never_accepted_does_not_stop_the_job(
    templates: Templates, quiet_sandbox: SandboxProcess, tmp_path: Path
) -> None:
    end = (datetime.now(timezone.utc) - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    scale.many_queries(templates.server, end, rows=300, hours=3)
    negative = 'UPDATE facts."SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY" SET ROWS_WRITTEN_TO_RESULT = -1'
    templates.server.sql(f"{negative} WHERE QUERY_ID = 'query-10'")
    state = tmp_path / "state.json"
    codes = [
        collect_and_push(
            templates,
            quiet_sandbox,
            "query_logs",
            *("--state", str(state), "--lookback-hours", "1"),
            *("--until", (end - timedelta(hours=3 - number)).isoformat()),
        ).exit_code
        for number in (1, 2, 3)
    ]
    assert codes == [1, 0, 0]
    since = [event["query_id"] for event in quiet_sandbox.received("querylogs")][-299:]
    assert len(set(since)) >= 298
    assert "query-10" not in since


def test_a_dry_run_does_not_change_an_unpushed_manifest(
    templates: Templates, quiet_sandbox: SandboxProcess, tmp_path: Path
) -> None:
    scale.many_queries(templates.server, datetime.now(timezone.utc) - timedelta(hours=1), rows=600, hours=6)
    arguments = ("--state", str(tmp_path / "state.json"), "--max-retry-seconds", "1", "--workers", "1")
    quiet_sandbox.fault(QUERY_LOGS, calls=[2, 3, 4, 5, 6], status=503)
    collect_and_push(templates, quiet_sandbox, "query_logs", *arguments).check(4)
    quiet_sandbox.clear_faults()
    before = templates.manifest("query_logs").read_bytes()
    collect_and_push(templates, quiet_sandbox, "query_logs", *arguments, "--dry-run").check()
    assert templates.manifest("query_logs").read_bytes() == before
    run = collect_and_push(templates, quiet_sandbox, "query_logs", *arguments).check()
    assert run.summary["resumed"]["records_accepted_before"] == 250
    assert run.summary["resumed"]["records_accepted"] == 600


def test_a_crash_before_the_checkpoint_is_written_repeats_nothing(
    templates: Templates, quiet_sandbox: SandboxProcess, tmp_path: Path
) -> None:
    scale.many_queries(templates.server, datetime.now(timezone.utc) - timedelta(hours=1), rows=300, hours=6)
    state = tmp_path / "state.json"
    collect_and_push(templates, quiet_sandbox, "query_logs", "--state", str(state)).check()
    state.unlink()  # as if the run had crashed right after its last batch
    again = collect_and_push(templates, quiet_sandbox, "query_logs", "--state", str(state)).check()
    assert again.summary["records"] == 0
    assert state.exists()


def test_with_a_checkpoint_an_unpushed_manifest_is_not_overwritten(templates: Templates, tmp_path: Path) -> None:
    scale.many_queries(templates.server, datetime.now(timezone.utc) - timedelta(hours=1), rows=300, hours=6)
    state = str(tmp_path / "state.json")
    templates.run("query_logs", "--state", state).check()
    before = templates.manifest("query_logs").read_bytes()
    refused = templates.run("query_logs", "--state", state).check(2)
    assert "has records that were not pushed" in refused.summary["error"]["message"]
    assert templates.manifest("query_logs").read_bytes() == before


def test_a_dry_run_leaves_neither_checkpoint_nor_journal(
    templates: Templates, quiet_sandbox: SandboxProcess, tmp_path: Path
) -> None:
    scale.many_queries(templates.server, datetime.now(timezone.utc) - timedelta(hours=1), rows=500, hours=6)
    state = tmp_path / "state.json"
    run = collect_and_push(templates, quiet_sandbox, "query_logs", "--dry-run", "--state", str(state)).check()
    assert run.summary["records"] == 500
    assert run.summary["batches"] == 2
    assert quiet_sandbox.requests(QUERY_LOGS).count == 0
    assert not state.exists()
    assert templates.leftovers() == []


def test_an_empty_warehouse_is_a_success_in_every_flow(templates: Templates, quiet_sandbox: SandboxProcess) -> None:
    for flow in ("metadata", "lineage", "query_logs"):
        run = collect_and_push(templates, quiet_sandbox, flow).check()
        assert (run.summary["records"], run.summary["invocation_ids"]) == (0, [])
        assert run.summary["status"] == "complete"


def test_ten_thousand_tables_arrive(templates: Templates, quiet_sandbox: SandboxProcess) -> None:
    scale.many_tables(templates.server, tables=10_000, columns=20)
    run = collect_and_push(templates, quiet_sandbox, "metadata").check()
    seen = set()
    for event in arrived(quiet_sandbox, "metadata", run):
        asset = event["relational_asset"]
        number = int(asset["metadata"]["name"].removeprefix("T"))
        seen.add(number)
        assert asset["metadata"]["schema"] == f"S{number % 10}"
        assert asset["volume"]["row_count"] == number
        assert [field["name"] for field in asset["fields"]] == [f"C{column}" for column in range(20)]
    assert seen == set(range(10_000))


def test_refusals_of_either_side_have_their_exit_codes_and_show_no_secret(
    shop_templates: Templates, quiet_sandbox: SandboxProcess
) -> None:
    env = shop_templates.environment | quiet_sandbox.env | {"MCD_INGEST_TOKEN": "not-the-t0ken"}
    run = run_script(
        shop_templates.folder,
        "collect_and_push_metadata.py",
        *("--manifest", str(shop_templates.manifest("metadata"))),
        env=env,
    ).check(3)
    assert quiet_sandbox.requests(METADATA).count == 1
    assert "not-the-t0ken" not in run.stdout + run.stderr
    assert run.summary["records"] > 200, "collected records are counted and kept for the next run"
    again = collect_and_push(shop_templates, quiet_sandbox, "metadata").check()
    assert again.summary["records_accepted"] == again.summary["records"]


def test_the_result_file_lists_every_invocation(shop_templates: Templates, quiet_sandbox: SandboxProcess) -> None:
    run = collect_and_push(shop_templates, quiet_sandbox, "lineage").check()
    result = json.loads(Path(run.summary["result"]).read_text(encoding="utf-8"))
    assert [batch["invocation_id"] for batch in result["accepted"]] == run.summary["invocation_ids"]
    assert {push["invocation_id"] for push in quiet_sandbox.pushes("lineage")} >= set(run.summary["invocation_ids"])
