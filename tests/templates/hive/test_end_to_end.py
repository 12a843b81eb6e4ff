"""All nine scripts as processes: 200 tables and views in a genuine HiveServer2, and a log of what wrote them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.end_to_end import EndToEnd, end_to_end
from tests.sandbox_process import SandboxProcess
from tests.warehouses.harness import Flow
from tests.warehouses.hive.shared import ONE_SERVER

pytestmark = ONE_SERVER
TABLES = 200


@pytest.fixture(scope="module")
def scripts(sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndToEnd]:
    with end_to_end("hive", TABLES, sandbox, tmp_path_factory.mktemp("end-to-end")) as found:
        yield found


@pytest.mark.scale
@pytest.mark.parametrize(
    ("flow", "least"), [("metadata", TABLES), ("lineage", TABLES // 4), ("query_logs", TABLES // 4)]
)
def test_what_is_in_the_warehouse_arrives(scripts: EndToEnd, flow: Flow, least: int) -> None:
    assert scripts.check(flow) >= least
