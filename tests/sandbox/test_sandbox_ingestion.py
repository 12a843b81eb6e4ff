"""The ingestion gateway: it accepts what pycarlo sends unchanged, and rejects everything else with a reason."""

from __future__ import annotations

import copy
import gzip
import json
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from pycarlo.core import Client, Session
from pycarlo.features.ingestion import IngestionService
from pycarlo.features.ingestion.models import (
    AssetField,
    AssetFreshness,
    AssetMetadata,
    AssetVolume,
    ColumnLineageField,
    ColumnLineageSourceField,
    LineageAssetRef,
    LineageEvent,
    LineageEventType,
    QueryLogEntry,
    RelationalAsset,
    Tag,
    build_lineage_payload,
    build_metadata_payload,
    build_query_log_payload,
)

from tests.sandbox_process import SandboxProcess

SNOWFLAKE, REDSHIFT = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))  # fixed, because they are in test ids
EVERYTHING = {"id": "everything", "token": "t1", "scope": "Ingestion", "warehouses": None}
SNOWFLAKE_ONLY = {"id": "snowflake-only", "token": "t2", "scope": "Ingestion", "warehouses": [SNOWFLAKE]}
API_KEY = {"id": "api", "token": "t3", "scope": "GraphQL", "warehouses": None}
SETTINGS = {
    "account": str(uuid.uuid4()),
    "keys": [EVERYTHING, SNOWFLAKE_ONLY, API_KEY],
    "warehouses": [
        {"uuid": SNOWFLAKE, "name": "shop", "type": "snowflake"},
        {"uuid": REDSHIFT, "name": "old shop", "type": "redshift"},
    ],
}

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
TABLE = RelationalAsset(
    type="TABLE",
    metadata=AssetMetadata(
        name='Größe "1".x y',
        database="ANALYTICS",
        schema="public",
        description="",
        view_query="SELECT 1",
        created_on="2020-02-29T00:00:00.123456Z",
    ),
    tags=[Tag(key="pii"), Tag(key="owner", value="team a")],
    fields=[AssetField(name="id", type="NUMBER(38,0)", description="key"), AssetField(name="v", type="VARIANT")],
    volume=AssetVolume(row_count=0, byte_count=2**40),
    freshness=AssetFreshness(last_update_time="2026-03-01T14:00:00+02:00"),
)
EDGE = LineageEvent(
    destination=LineageAssetRef(type="VIEW", name="daily", database="ANALYTICS", schema="mart"),
    sources=[
        LineageAssetRef(type="TABLE", name="orders", database="ANALYTICS", schema="raw", asset_id="0"),
        LineageAssetRef(type="EXTERNAL", name="s3://b/x.csv", database="s3", schema="b", asset_id="1"),
        LineageAssetRef(type="WILDCARD_TABLE", name="events_*", database="ANALYTICS", schema="raw", asset_id="2"),
    ],
    fields=[
        ColumnLineageField("total", [ColumnLineageSourceField("0", "amount"), ColumnLineageSourceField("1", "c")]),
        ColumnLineageField("constant", []),
    ],
)
QUERY = QueryLogEntry(
    start_time=NOON,
    end_time=NOON + timedelta(seconds=1.5),
    query_text="SELECT 'é', \"x\"\nFROM orders",
    query_id="01a",
    user="ana",
    error_code=604,
    error_text="cancelled",
    returned_rows=0,
    extra={"warehouse": "WH", "nested": {"bytes": 1}},
)

BODIES: dict[str, dict[str, Any]] = {
    "metadata": build_metadata_payload(SNOWFLAKE, "snowflake", [TABLE]),
    "lineage": build_lineage_payload(SNOWFLAKE, "snowflake", [EDGE]),
    "querylogs": build_query_log_payload(SNOWFLAKE, "snowflake", [QUERY]),
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("gateway"), settings=SETTINGS) as process:
        yield process


def post(
    sandbox: SandboxProcess,
    flow: str,
    body: Any,
    key: dict[str, Any] | None = EVERYTHING,
    headers: dict[str, str] | None = None,
) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    credentials = {} if key is None else {"x-mcd-id": key["id"], "x-mcd-token": key["token"]}
    sent = {"content-type": "application/json"} | credentials
    sent |= headers or {}
    return requests.post(f"{sandbox.url}/ingest/v1/{flow}", data=data, headers=sent, timeout=60)


def refused(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert body["error"]
    assert "invocation_id" not in body
    return body


def service(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> IngestionService:
    # pycarlo reads MCD_API_ENDPOINT on import, before the sandbox starts, so setting the variable here has no effect.
    monkeypatch.setattr("pycarlo.core.session.MCD_API_ENDPOINT", sandbox.endpoint)
    session = Session(mcd_id=EVERYTHING["id"], mcd_token=EVERYTHING["token"], scope="Ingestion")
    return IngestionService(mc_client=Client(session=session))


def test_accepts_what_pycarlo_sends(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    pycarlo = service(sandbox, monkeypatch)
    answers = {
        "metadata": pycarlo.send_metadata(SNOWFLAKE, "snowflake", [TABLE]),
        "lineage": pycarlo.send_lineage(SNOWFLAKE, "snowflake", [EDGE]),
        "querylogs": pycarlo.send_query_logs(SNOWFLAKE, "snowflake", [QUERY]),
    }
    assert set(answers) == set(BODIES)
    for flow, answer in answers.items():
        invocation = pycarlo.extract_invocation_id(answer)
        assert invocation is not None
        assert uuid.UUID(invocation)
        assert list(sandbox.received(flow, invocation)) == BODIES[flow]["events"]


def test_accepts_lineage_across_warehouses(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    event = LineageEvent(
        destination=LineageAssetRef("TABLE", "t", "d", "s", resource_uuid=SNOWFLAKE, resource_type="snowflake"),
        sources=[LineageAssetRef("TABLE", "t", "d", "s", resource_uuid=REDSHIFT, resource_type="redshift")],
    )
    answer = service(sandbox, monkeypatch).send_lineage(events=[event])
    assert answer is not None
    push = next(each for each in sandbox.pushes() if each["invocation_id"] == answer["invocation_id"])
    assert sorted(push["resources"]) == sorted([SNOWFLAKE, REDSHIFT])
    assert post(sandbox, "lineage", build_lineage_payload(events=[event]), SNOWFLAKE_ONLY).status_code == 403


ACROSS = [
    LineageAssetRef("TABLE", "t", "d", "s", "a", resource_uuid=SNOWFLAKE, resource_type="snowflake"),
    LineageAssetRef("WILDCARD_TABLE", "t_*", "d", "s", "b", resource_uuid=REDSHIFT, resource_type="redshift"),
]
WITHOUT_ZONE = datetime(2026, 3, 1, 12, 0, 0, 1)  # noqa: DTZ001 - pycarlo treats it as local time
BUILT: dict[str, tuple[str, dict[str, Any]]] = {
    "a minimal table": (
        "metadata",
        build_metadata_payload(SNOWFLAKE, "snowflake", [RelationalAsset("TABLE", AssetMetadata("n", "d", "s"))]),
    ),
    "empty parts": (
        "metadata",
        build_metadata_payload(
            SNOWFLAKE,
            "snowflake",
            [
                RelationalAsset(
                    "VIEW",
                    AssetMetadata("n", "d", "s", description="", view_query=""),
                    tags=[Tag("k", "")],
                    fields=[AssetField("c", "T", "")],
                    volume=AssetVolume(),
                    freshness=AssetFreshness(),
                )
            ],
        ),
    ),
    "the largest numbers": (
        "metadata",
        build_metadata_payload(
            SNOWFLAKE,
            "snowflake",
            [RelationalAsset("TABLE", AssetMetadata("n", "d", "s"), volume=AssetVolume(2**63 - 1, 0))],
        ),
    ),
    "an upper case uuid": ("lineage", build_lineage_payload(SNOWFLAKE.upper(), "snowflake", [EDGE])),
    "column lineage across warehouses": (
        "lineage",
        build_lineage_payload(
            events=[
                LineageEvent(ACROSS[0], ACROSS, [ColumnLineageField("c", [ColumnLineageSourceField("b", "x")])]),
                LineageEvent(ACROSS[1], ACROSS[:1]),
            ]
        ),
    ),
    "column lineage without columns": (
        "lineage",
        build_lineage_payload(
            SNOWFLAKE,
            "snowflake",
            [LineageEvent(EDGE.destination, EDGE.sources)],
            event_type=LineageEventType.COLUMN_LINEAGE,
        ),
    ),
    "a minimal query": (
        "querylogs",
        build_query_log_payload(SNOWFLAKE, "snowflake", [QueryLogEntry(WITHOUT_ZONE, WITHOUT_ZONE, "x")]),
    ),
    "a query that failed": (
        "querylogs",
        build_query_log_payload(
            SNOWFLAKE,
            "snowflake",
            [QueryLogEntry(NOON, NOON, "x", "", "", "", "", 0, {}), QueryLogEntry(NOON, NOON, "x", error_code="42P01")],
        ),
    ),
}


@pytest.mark.parametrize("built", sorted(BUILT))
def test_accepts_everything_that_pycarlo_builds(sandbox: SandboxProcess, built: str) -> None:
    flow, body = BUILT[built]
    answer = post(sandbox, flow, body)
    assert answer.status_code == 202, answer.text
    assert list(sandbox.received(flow, answer.json()["invocation_id"])) == body["events"]


@pytest.mark.parametrize("flow", sorted(BODIES))
def test_these_tests_send_every_field_of_pycarlos_models(flow: str) -> None:
    models: dict[str, list[Any]] = {
        "metadata": [RelationalAsset, AssetMetadata, Tag, AssetField, AssetVolume, AssetFreshness],
        "lineage": [LineageEvent, LineageAssetRef, ColumnLineageField, ColumnLineageSourceField],
        "querylogs": [QueryLogEntry],
    }
    sent = {key for _, body in [*BUILT.values(), (flow, BODIES[flow])] for key in keys_in(body["events"])}
    assert {field.name for model in models[flow] for field in fields(model)} <= sent


def keys_in(value: Any) -> Iterator[str]:
    """Yield every key of the objects in a JSON value."""
    if isinstance(value, dict):
        yield from value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys_in(member)


def test_an_incomplete_warehouse_on_a_reference_is_400(sandbox: SandboxProcess) -> None:
    _, across = BUILT["column lineage across warehouses"]
    for missing in ("resource_uuid", "resource_type"):
        body = copy.deepcopy(across)
        del body["events"][1]["sources"][0][missing]
        details = refused(post(sandbox, "lineage", body), 400)["details"]
        assert list(details) == [f"events[1].sources[0].{missing}"]
    body = copy.deepcopy(across)
    body["events"][0]["sources"][1]["resource_type"] = "snowflake"
    details = refused(post(sandbox, "lineage", body), 400)["details"]
    assert list(details) == ["events[0].sources[1].resource_type"]


@pytest.mark.parametrize("flow", sorted(BODIES))
@pytest.mark.parametrize(
    "key",
    [
        None,
        {"id": "everything", "token": "wrong"},
        {"id": "wrong", "token": "t1"},
        {"id": "everything", "token": ""},
        {"id": "api", "token": "t1"},
    ],
    ids=["no headers", "wrong token", "wrong id", "empty token", "another key's token"],
)
def test_an_unknown_key_is_401(sandbox: SandboxProcess, flow: str, key: dict[str, Any] | None) -> None:
    refused(post(sandbox, flow, BODIES[flow], key), 401)


@pytest.mark.parametrize("flow", sorted(BODIES))
@pytest.mark.parametrize("key", [None, {"id": "everything", "token": "wrong"}, API_KEY], ids=["none", "wrong", "api"])
def test_the_body_is_validated_before_the_key(sandbox: SandboxProcess, flow: str, key: dict[str, Any] | None) -> None:
    """As Monte Carlo does, so that a test notices a body that is invalid as well as a wrong key."""
    assert "events" in refused(post(sandbox, flow, {}, key), 400)["details"]
    assert refused(post(sandbox, flow, b"{", key), 400)["details"]
    assert "details" not in refused(post(sandbox, flow, BODIES[flow], key), 403 if key is API_KEY else 401)


@pytest.mark.parametrize("flow", sorted(BODIES))
def test_an_unauthorized_key_is_403(sandbox: SandboxProcess, flow: str) -> None:
    elsewhere = copy.deepcopy(BODIES[flow])
    elsewhere["resource"]["uuid"] = REDSHIFT
    if flow != "querylogs":
        elsewhere["resource"]["resource_type"] = "redshift"
    nowhere = copy.deepcopy(BODIES[flow])
    nowhere["resource"]["uuid"] = str(uuid.uuid4())

    refused(post(sandbox, flow, BODIES[flow], API_KEY), 403)
    refused(post(sandbox, flow, elsewhere, SNOWFLAKE_ONLY), 403)
    refused(post(sandbox, flow, nowhere), 403)
    assert post(sandbox, flow, elsewhere).status_code == 202
    assert post(sandbox, flow, BODIES[flow], SNOWFLAKE_ONLY).status_code == 202


PACKED = {"content-encoding": "gzip"}
REMOVED = object()
Path_ = tuple[str | int, ...]

# Flow, a place in pycarlo's body, the value to put there, and the field path that the response names.
INVALID_FIELDS: list[tuple[str, Path_, Any, str]] = [
    ("metadata", ("event_type",), "RELATIONAL_ASSET", "event_type"),
    ("metadata", ("resource",), REMOVED, "resource"),
    ("metadata", ("resource", "uuid"), "snowflake", "resource.uuid"),
    ("metadata", ("resource", "resource_type"), "Snowflake", "resource.resource_type"),
    ("metadata", ("resource", "log_type"), "snowflake", "resource.log_type"),
    ("metadata", ("events",), [], "events"),
    ("metadata", ("events",), {}, "events"),
    ("metadata", ("events", 0), "x", "events[0]"),
    ("metadata", ("events", 0), {"type": "TABLE"}, "events[0].relational_asset"),
    ("metadata", ("events", 0, "relational_asset", "type"), "table", "events[0].relational_asset.type"),
    ("metadata", ("events", 0, "relational_asset", "type"), "EXTERNAL", "events[0].relational_asset.type"),
    ("metadata", ("events", 0, "relational_asset", "type"), None, "events[0].relational_asset.type"),
    (
        "metadata",
        ("events", 0, "relational_asset", "metadata", "database"),
        "",
        "events[0].relational_asset.metadata.database",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "metadata", "created_on"),
        "2023-02-29T00:00:00Z",
        "events[0].relational_asset.metadata.created_on",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "fields", 1, "type"),
        REMOVED,
        "events[0].relational_asset.fields[1].type",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "tags", 0, "key"),
        1,
        "events[0].relational_asset.tags[0].key",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "volume", "row_count"),
        "12",
        "events[0].relational_asset.volume.row_count",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "volume", "row_count"),
        True,
        "events[0].relational_asset.volume.row_count",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "volume", "byte_count"),
        2**63,
        "events[0].relational_asset.volume.byte_count",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "volume", "rows"),
        1,
        "events[0].relational_asset.volume.rows",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "freshness", "last_update_time"),
        "2026-03-01 12:00:00",
        "events[0].relational_asset.freshness.last_update_time",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "freshness", "last_update_time"),
        "9999-12-31T23:00:00-02:00",
        "events[0].relational_asset.freshness.last_update_time",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "freshness", "last_update_time"),
        "0001-01-01T00:00:00+00:01",
        "events[0].relational_asset.freshness.last_update_time",
    ),
    (
        "metadata",
        ("events", 0, "relational_asset", "freshness", "last_update_time"),
        1767225600,
        "events[0].relational_asset.freshness.last_update_time",
    ),
    ("lineage", ("event_type",), "METADATA", "event_type"),
    ("lineage", ("event_type",), "LINEAGE", "events[0].fields"),
    ("lineage", ("events", 0, "sources"), [], "events[0].sources"),
    ("lineage", ("events", 0, "destination"), REMOVED, "events[0].destination"),
    ("lineage", ("events", 0, "destination", "type"), "MODEL", "events[0].destination.type"),
    ("lineage", ("events", 0, "sources", 1, "schema"), REMOVED, "events[0].sources[1].schema"),
    ("lineage", ("events", 0, "sources", 1, "asset_id"), "0", "events[0].sources[1].asset_id"),
    (
        "lineage",
        ("events", 0, "fields", 0, "source_fields", 1, "asset_id"),
        "9",
        "events[0].fields[0].source_fields[1].asset_id",
    ),
    (
        "lineage",
        ("events", 0, "fields", 0, "source_fields", 0, "field_name"),
        REMOVED,
        "events[0].fields[0].source_fields[0].field_name",
    ),
    ("lineage", ("events", 0, "sources", 0, "resource_uuid"), SNOWFLAKE, "events[0].sources[0].resource_uuid"),
    ("lineage", ("resource",), REMOVED, "events[0].destination.resource_uuid"),
    ("metadata", ("comment",), "x", "comment"),
    ("metadata", ("resource",), None, "resource"),
    ("lineage", ("events", 0, "sources", 0, "asset_id"), "", "events[0].sources[0].asset_id"),
    ("lineage", ("events", 0, "fields", 0, "source_fields"), None, "events[0].fields[0].source_fields"),
    ("querylogs", ("events", 0, "user"), 7, "events[0].user"),
    ("querylogs", ("events", 0, "error_code"), 1.5, "events[0].error_code"),
    ("querylogs", ("event_type",), "QUERY_LOGS", "event_type"),
    ("querylogs", ("resource", "log_type"), "hive", "resource.log_type"),
    ("querylogs", ("resource", "log_type"), REMOVED, "resource.log_type"),
    ("querylogs", ("resource", "resource_type"), "snowflake", "resource.resource_type"),
    ("querylogs", ("events", 0, "end_time"), REMOVED, "events[0].end_time"),
    ("querylogs", ("events", 0, "end_time"), None, "events[0].end_time"),
    ("querylogs", ("events", 0, "start_time"), "2026-03-01T12:00:00", "events[0].start_time"),
    ("querylogs", ("events", 0, "start_time"), "2026-03-01T25:00:00Z", "events[0].start_time"),
    ("querylogs", ("events", 0, "query_text"), "", "events[0].query_text"),
    ("querylogs", ("events", 0, "returned_rows"), -1, "events[0].returned_rows"),
    ("querylogs", ("events", 0, "error_code"), {}, "events[0].error_code"),
    ("querylogs", ("events", 0, "extra"), "x", "events[0].extra"),
    ("querylogs", ("events", 0, "warehouse"), "WH", "events[0].warehouse"),
]


@pytest.mark.parametrize(("flow", "place", "value", "named"), INVALID_FIELDS)
def test_an_invalid_field_is_400_and_named(
    sandbox: SandboxProcess, flow: str, place: Path_, value: Any, named: str
) -> None:
    body = copy.deepcopy(BODIES[flow])
    *parents, last = place
    holder: Any = body
    for step in parents:
        holder = holder[step]
    if value is REMOVED:
        del holder[last]
    else:
        holder[last] = value
    before = len(sandbox.pushes())
    details = refused(post(sandbox, flow, body), 400)["details"]
    assert named in details
    assert details[named]
    assert len(sandbox.pushes()) == before


def test_all_problems_of_a_body_are_reported_up_to_a_limit(sandbox: SandboxProcess) -> None:
    body = copy.deepcopy(BODIES["querylogs"])
    body["events"] = [{"start_time": "x"}] * 3
    details = refused(post(sandbox, "querylogs", body), 400)["details"]
    assert len(details) == 9
    body["events"] = [{"start_time": "x"}] * 10_000
    assert 50 <= len(refused(post(sandbox, "querylogs", body), 400)["details"]) < 60


@pytest.mark.parametrize("field", ["user", "error_code", "returned_rows", "extra"])
def test_null_counts_as_absent(sandbox: SandboxProcess, field: str) -> None:
    body = copy.deepcopy(BODIES["querylogs"])
    body["events"][0][field] = None
    assert post(sandbox, "querylogs", body).status_code == 202


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"{", {}),
        (b"[]", {}),
        (b"null", {}),
        (b"\xff\xfe", {}),
        (BODIES["metadata"], {"content-encoding": "gzip"}),
        (BODIES["metadata"], {"content-encoding": "br"}),
        (gzip.compress(b"{}" * 100)[:-9], {"content-encoding": "gzip"}),
    ],
    ids=["empty", "half", "list", "null", "binary", "not gzip", "brotli", "half gzip"],
)
def test_a_body_that_is_not_a_json_object_is_400(sandbox: SandboxProcess, body: Any, headers: dict[str, str]) -> None:
    assert refused(post(sandbox, "metadata", body, headers=headers), 400)["details"]


def test_other_methods_are_405_and_other_paths_404(sandbox: SandboxProcess) -> None:
    for flow in BODIES:
        for method in ("GET", "PUT", "DELETE"):
            answer = requests.request(method, f"{sandbox.url}/ingest/v1/{flow}", json={}, timeout=60)
            assert answer.status_code == 405
            assert answer.headers["allow"] == "POST"
    assert post(sandbox, "etl/metadata", {}).status_code == 404


def query_logs_of(text_bytes: int, *, compressible: bool) -> dict[str, Any]:
    body = copy.deepcopy(BODIES["querylogs"])
    text = "x" * text_bytes if compressible else random.Random(1).randbytes(text_bytes // 2).hex()
    body["events"][0]["query_text"] = text
    return body


def test_one_megabyte_compressed_is_the_limit(sandbox: SandboxProcess) -> None:
    # Hexadecimal digits compress to a little over half their size.
    too_large = query_logs_of(2_200_000, compressible=False)
    fits = query_logs_of(1_600_000, compressible=False)
    assert len(gzip.compress(json.dumps(fits).encode())) < 1_000_000 < len(json.dumps(fits))

    for flow in BODIES:
        assert "compressed" in refused(post(sandbox, flow, too_large), 413)["error"]
    packed = gzip.compress(json.dumps(too_large).encode())
    refused(post(sandbox, "querylogs", packed, headers=PACKED), 413)

    assert post(sandbox, "querylogs", fits).status_code == 202
    assert post(sandbox, "querylogs", query_logs_of(20_000_000, compressible=True)).status_code == 202


def test_a_gzip_body_is_decompressed(sandbox: SandboxProcess) -> None:
    packed = gzip.compress(json.dumps(BODIES["metadata"]).encode())
    answer = post(sandbox, "metadata", packed, headers=PACKED)
    assert answer.status_code == 202
    arrived = list(sandbox.received("metadata", answer.json()["invocation_id"]))
    assert arrived == BODIES["metadata"]["events"]


def test_a_decompression_bomb_is_413(sandbox: SandboxProcess) -> None:
    bomb = gzip.compress(b" " * 300_000_000, 9)
    assert len(bomb) < 1_000_000
    refused(post(sandbox, "metadata", bomb, headers=PACKED), 413)


def test_eight_concurrent_threads_lose_and_duplicate_nothing(tmp_path: Path) -> None:
    threads, pushes, entries = 8, 12, 20

    def push(thread: int) -> list[str]:
        invocations = []
        for number in range(pushes):
            body = copy.deepcopy(BODIES["querylogs"])
            entry = body["events"][0]
            body["events"] = [entry | {"query_id": f"{thread}-{number}-{place}"} for place in range(entries)]
            answer = post(process, "querylogs", body)
            assert answer.status_code == 202
            invocations.append(answer.json()["invocation_id"])
        return invocations

    with SandboxProcess(tmp_path, settings=SETTINGS) as process, ThreadPoolExecutor(threads) as pool:
        invocations = [each for found in pool.map(push, range(threads)) for each in found]
        arrived = [event["query_id"] for event in process.received("querylogs")]
        assert process.requests("/ingest/v1/querylogs").count == threads * pushes
    assert len(set(invocations)) == threads * pushes
    assert len(arrived) == len(set(arrived)) == threads * pushes * entries


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_accepted_pushes_survive_a_restart(tmp_path: Path, ending: str) -> None:
    with SandboxProcess(tmp_path, settings=SETTINGS) as sandbox:
        invocation = post(sandbox, "metadata", BODIES["metadata"]).json()["invocation_id"]
        getattr(sandbox, ending)()
    with SandboxProcess(tmp_path) as sandbox:
        assert sandbox.settings == SETTINGS
        assert list(sandbox.received("metadata", invocation)) == BODIES["metadata"]["events"]
        data = sandbox.graphql("query($id: UUID) { getTables(dwId: $id) { edges { node { fullTableId } } } }",
                               {"id": SNOWFLAKE})  # fmt: skip
        assert data["getTables"]["edges"] == [{"node": {"fullTableId": 'ANALYTICS:public.Größe "1".x y'}}]
