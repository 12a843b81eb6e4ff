"""Tests what README.md says is lost without each database role of SNOWFLAKE."""

from __future__ import annotations

import pytest
import tomli

from tests.collected import Collected
from tests.script_process import TEMPLATES
from tests.templates.snowflake.conftest import Templates

CATALOG = TEMPLATES / "snowflake" / "catalog.toml"
NO_TAGS = "tags not readable (SNOWFLAKE.ACCOUNT_USAGE.TAG_REFERENCES)"
NO_EXISTING = "dropped tables unknown (SNOWFLAKE.ACCOUNT_USAGE.TABLES not readable)"
NO_VIEWS = "view lineage not readable (SNOWFLAKE.ACCOUNT_USAGE.OBJECT_DEPENDENCIES)"
# Role → flow → the skip reasons that are counted without it; None: refused.
LOST: dict[str, dict[str, set[str] | None]] = {
    "OBJECT_VIEWER": {"metadata": set(), "lineage": {NO_EXISTING, NO_VIEWS}, "query_logs": set()},
    "GOVERNANCE_VIEWER": {
        "metadata": {NO_TAGS},
        "lineage": {"query text not readable (SNOWFLAKE.ACCOUNT_USAGE.QUERY_HISTORY)"},
        "query_logs": None,
    },
}


@pytest.mark.parametrize("role", LOST)
def test_what_is_lost_without_a_role(shop_templates: Templates, role: str) -> None:
    views = tomli.loads(CATALOG.read_text(encoding="utf-8"))["views"]
    complete = {flow: shop_templates.collect(flow).skipped for flow in LOST[role]}
    shop_templates.server.deny(*(name for name, view in views.items() if view.get("role") == role))
    for flow, reasons in LOST[role].items():
        run = shop_templates.run(flow).check(3 if reasons is None else 0)
        if reasons is not None:
            skipped = Collected.read(shop_templates.manifest(flow)).skipped
            assert reasons <= skipped.keys() - complete[flow].keys(), run.stderr
            assert bool(reasons) == (skipped != complete[flow])
