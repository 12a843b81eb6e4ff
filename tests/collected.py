"""Reads manifests for tests, without the code under test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Collected:
    """A complete manifest."""

    header: Record
    records: list[Record]
    trailer: Record

    @property
    def skipped(self) -> dict[str, int]:
        found: dict[str, int] = self.trailer["skipped"]
        return found

    @classmethod
    def read(cls, path: Path) -> Collected:
        header, *records, trailer = [
            json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        ]
        assert trailer["end"] is True
        assert trailer["records"] == len(records)
        return cls(header, records, trailer)
