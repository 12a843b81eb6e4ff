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

    @property
    def examples(self) -> dict[str, str]:
        """An example for each reason in ``skipped`` that has one."""
        found: dict[str, str] = self.trailer["skipped_examples"]
        return found

    @classmethod
    def read(cls, path: Path) -> Collected:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # not splitlines: texts have U+2028
        header, *records, trailer = [json.loads(line) for line in lines]
        assert trailer["end"] is True
        assert trailer["records"] == len(records)
        return cls(header, records, trailer)
