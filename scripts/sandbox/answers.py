"""The GraphQL root: one method for each field of the schema's `Query` that the sandbox supports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catalog import (
    Table,
    UserAnswer,
    WarehouseAnswer,
    current_user,
    find_tables,
    find_warehouse,
)
from graphql import GraphQLError
from lineage import DerivedTables, LineageGraph, TableColumnsLineage, read_columns, read_derived, read_graph
from metrics import MetricsAnswer, metrics_request, read_metrics
from paging import Connection
from query_log import AggregatedQueries, queries_request, read_queries
from reading import NodeRow, Reading
from resolving import snake_case, warehouse_uuid


@dataclass(frozen=True)
class Query:
    """The schema's `Query`, for one request."""

    _reading: Reading

    def get_user(self) -> UserAnswer:
        return current_user(self._reading)

    def get_warehouse(self, uuid: str | None = None) -> WarehouseAnswer | None:
        if uuid is None:
            raise GraphQLError("getWarehouse: uuid is required")
        return find_warehouse(self._reading, uuid)

    def get_table(
        self, dw_id: str | None = None, full_table_id: str | None = None, mcon: str | None = None
    ) -> Table | None:
        node = self._node("getTable", mcon, dw_id, full_table_id)
        if node is None:
            return None
        edges = find_tables(self._reading, {"node": node.node_id}, first=1, after=None).edges
        return edges[0].node if edges else None

    def get_tables(
        self,
        dw_id: str | None = None,
        full_table_id: str | None = None,
        mcon: str | None = None,
        ingest_type: str | None = None,
        ingest_invocation_id: str | None = None,
        first: int | None = None,
        after: str | None = None,
        offset: int | None = None,
    ) -> Connection[Table]:
        wanted: dict[str, Any] = {}
        if dw_id is not None:
            wanted["resource"] = warehouse_uuid(dw_id, "dwId")
        if full_table_id is not None:
            wanted["table"] = full_table_id
        if mcon is not None:
            node = self._reading.named(mcon)
            wanted["node"] = node.node_id if node else -1
        if ingest_invocation_id is not None:
            wanted["invocation"] = ingest_invocation_id
        if ingest_type is not None and ingest_type.lower() != Table.ingest_type.lower():
            wanted["node"] = -1  # the sandbox only has pushed tables
        return find_tables(self._reading, wanted, first, after, offset)

    def get_metrics_v4(
        self,
        metric_name: str,
        start_time: str,
        metrics_filter: dict[str, Any],
        end_time: str | None = None,
        first: int | None = None,
        deduplicate_values: bool | None = None,
    ) -> MetricsAnswer:
        given = {snake_case(name): value for name, value in metrics_filter.items() if value is not None}
        given.pop("ootb", None)  # the sandbox only has out-of-the-box metrics
        mcon, dw_id, full_table_id = (given.pop(name, None) for name in ("mcon", "dw_id", "full_table_id"))
        if given:
            raise GraphQLError(f"metricsFilter: {', '.join(sorted(given))} is not supported by the sandbox")
        node = self._node("metricsFilter", mcon, dw_id, full_table_id)
        request = metrics_request(metric_name, start_time, end_time, first, deduplicate_values)
        return read_metrics(self._reading, node, request)

    def get_table_lineage(
        self, direction: str, mcon: str | None = None, mcons: list[str] | None = None, hops: int | None = None
    ) -> LineageGraph:
        named = [mcon] if mcon is not None else mcons or []
        if not named:
            raise GraphQLError("getTableLineage: mcon or mcons is required")
        return read_graph(self._reading, named, direction, 1 if hops is None else hops)

    def get_derived_tables_partial_lineage(
        self,
        mcon: str | None = None,
        column: str | None = None,
        cursor: str | None = None,
        page_size: int | None = None,
    ) -> DerivedTables:
        node = self._required("getDerivedTablesPartialLineage", mcon)
        return read_derived(self._reading, node, column, cursor, page_size)

    def get_table_columns_lineage(self, mcon: str | None = None) -> TableColumnsLineage:
        return read_columns(self._reading, self._required("getTableColumnsLineage", mcon))

    def get_aggregated_queries(
        self,
        mcon: str,
        start_time: str,
        end_time: str,
        query_type: str,
        limit: int,
        end_cursor: str | None = None,
        category: str | None = None,
        user: str | None = None,
        query_characters: int | None = None,
    ) -> AggregatedQueries:
        request = queries_request(
            start_time,
            end_time,
            query_type,
            limit,
            cursor=end_cursor,
            category=category,
            user=user,
            characters=query_characters,
        )
        return read_queries(self._reading, self._reading.required(mcon), request)

    def _required(self, field: str, mcon: str | None) -> NodeRow:
        if mcon is None:
            raise GraphQLError(f"{field}: mcon is required")
        return self._reading.required(mcon)

    def _node(self, field: str, mcon: str | None, dw_id: str | None, full_table_id: str | None) -> NodeRow | None:
        """Return the table with this MCON, or with this warehouse and full id.

        Raises GraphQLError if neither is given.
        """
        if mcon is not None:
            return self._reading.named(mcon)
        if dw_id is None or full_table_id is None:
            raise GraphQLError(f"{field}: mcon, or dwId and fullTableId, is required")
        return self._reading.node(warehouse_uuid(dw_id, "dwId"), full_table_id)
