"""The driver's own stubs of its Thrift protocol. They have no types."""

from __future__ import annotations

from typing import Any

from databricks.sql.thrift_api.TCLIService import TCLIService as _service  # noqa: N813
from databricks.sql.thrift_api.TCLIService import ttypes as _types

ttypes: Any = _types
service: Any = _service
