"""Tests speed and memory with 1 GB of log text in a .gz file: the recorded log, repeated with other ids and times."""

from __future__ import annotations

import gzip
import re
import resource
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.script_process import TEMPLATES, peak_memory

RECORDED = Path(__file__).resolve().parents[2] / "warehouses" / "hive" / "recorded" / "hive-server2.log"
SIZE = 1_000_000_000  # bytes of text
MAX_MEMORY = 200_000_000  # bytes
MAX_RATIO = 10.0  # to the processor time that "gzip -dc | grep -c" takes: other processes do not change it
STATEMENT = b": Compiling command(queryId="
QUERY_ID = re.compile(rb"(hive_\d{14}_)[0-9a-f]{8}(-[0-9a-f-]{27})")
STAMP = re.compile(rb"^\d{4}-\d\d-\d\dT\d\d:\d\d", re.MULTILINE)
# The recording leaves out lines that say nothing about statements: the complete log had 9 kB per statement, it has 2.8.
LEFT_OUT = (
    "metastore.HiveMetaStore: 0: get_table : db=shop tbl=orders",
    "HiveMetaStore.audit: ugi=root\tip=unknown-ip-addr\tcmd=get_table : db=shop tbl=orders\t",
    "parse.SemanticAnalyzer: Completed phase 1 of Semantic Analysis",
    "ppd.OpProcFactory: Processing for FS(3)",
    "exec.Utilities: Content Summary not cached for file:/var/lib/hive/warehouse/shop.db/orders",
    "exec.Utilities: PLAN PATH = file:/var/lib/hive/local/0e4c79a0-ed18-469c-b7d1-e826ad2bf9b0/-mr-10004/map.xml",
    "io.CombineHiveInputFormat: Total number of paths: 1, launching 1 threads to check non-combinable ones.",
)
FILLER = "".join(
    f"2026-12-01T12:58:30,001  INFO [HiveServer2-Handler-Pool: Thread-36] {text}\n" for text in LEFT_OUT
).encode()
COMPILED = b"ql.Driver: Semantic Analysis Completed\n"
START = datetime(2026, 3, 2, tzinfo=timezone.utc)


def copies() -> Iterator[bytes]:
    """The recorded log again and again. Each copy is a minute, and has other query ids."""
    content = RECORDED.read_bytes().replace(COMPILED, COMPILED + FILLER * (6_200 // len(FILLER)))
    number = 0
    while True:
        minute = f"{START + timedelta(minutes=number):%Y-%m-%dT%H:%M}".encode()
        copy = QUERY_ID.sub(lambda found, n=number: b"%b%08x%b" % (found[1], n, found[2]), content)  # type: ignore[misc]
        yield STAMP.sub(minute, copy)
        number += 1


def processor_time() -> float:
    """Of all processes that this one has waited for, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.stress
def test_a_gigabyte_of_log_text_is_streamed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hive-server2.log.gz"
    size = statements = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for copy in copies():
            file.write(copy)
            size, statements = size + len(copy), statements + copy.count(STATEMENT)
            if size > SIZE:
                break
    started = processor_time()
    found = subprocess.run(f"gzip -dc {path} | grep -c queryId=", shell=True, capture_output=True, check=True)  # noqa: S602
    baseline = processor_time() - started
    assert int(found.stdout) >= statements
    started = processor_time()
    memory = peak_memory(
        TEMPLATES / "hive",
        "collect_query_logs.py",
        *("--since", "2026-03-01", "--until", "2026-11-01", "--log-path", str(path)),
        *("--manifest", str(tmp_path / "query_logs.jsonl.gz")),
        env={},
    )
    seconds = processor_time() - started
    with capsys.disabled():
        print(f"\n{size:,} bytes, {statements:,} statements: {seconds:.1f} s, {memory:,} bytes of memory")
        print(f"{seconds / baseline:.1f} times as long as gzip and grep")
    with gzip.open(tmp_path / "query_logs.jsonl.gz") as manifest:
        assert sum(b'"query_id"' in line for line in manifest) == statements
    assert memory < MAX_MEMORY
    assert seconds < MAX_RATIO * baseline
