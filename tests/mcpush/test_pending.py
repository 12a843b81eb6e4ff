"""The push status of an earlier run's manifest, according to the journal next to it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from mcpush.manifest import Header, Manifest, Writer, verify
from mcpush.pending import Accepted, PushStatus, journal_path, pending_manifest, read_journal
from mcpush.push.journal import Journal
from mcpush.push.result import Rejected

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def written(path: Path, *names: str) -> Manifest:
    with Writer(path, Header("metadata", "snowflake", "snowflake", NOON)) as writer:
        for name in names:
            writer.write({"type": "TABLE", "database": "D", "schema": "S", "name": name})
        writer.finish({}, {})
    return verify(path)


def status(path: Path) -> PushStatus | None:
    pending = pending_manifest(path, "metadata")
    return pending.status if pending else None


def test_a_push_is_settled_when_each_record_was_accepted_or_rejected(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    assert status(path) is None
    manifest = written(path, "a", "b")
    assert status(path) is PushStatus.NOT_STARTED
    with Journal(manifest, "here", None) as journal:
        assert status(path) is PushStatus.UNFINISHED
        journal.accept(Accepted(0, 1, "id", "2026-03-01T12:00:00Z"))
        assert status(path) is PushStatus.UNFINISHED
        journal.reject(Rejected(1, "D.S.b", "no"))
    assert status(path) is PushStatus.SETTLED


def test_the_journal_of_an_earlier_manifest_settles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with Journal(written(path, "a"), "here", None) as journal:
        journal.accept(Accepted(0, 1, "id", "2026-03-01T12:00:00Z"))
    written(path, "b")
    content = read_journal(journal_path(path))
    assert content is not None
    assert content.is_settled
    assert status(path) is PushStatus.NOT_STARTED


def test_a_manifest_without_records_leaves_nothing_to_push(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    written(path)
    assert status(path) is None
