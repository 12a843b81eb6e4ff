"""Breaks system views of the local Redshift temporarily, and adds single queries to its log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from tests.warehouses.redshift.filling import query_blocks, stamp
from tests.warehouses.redshift.launch import RedshiftServer, literal
from tests.warehouses.redshift.truth import Query

# If the catalog of an external schema does not respond, the views that list it fail completely.
BREAK_SQL = """
CREATE OR REPLACE FUNCTION testbed.catalog_answers() RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'External Catalog Error' USING ERRCODE = 'XX000'; END $$;
CREATE TABLE testbed.kept_{view} AS SELECT pg_get_viewdef('pg_catalog.{view}') AS definition;
DO $$ BEGIN EXECUTE format(
    'CREATE OR REPLACE VIEW pg_catalog.{view} AS SELECT * FROM (%s) AS v WHERE testbed.catalog_answers()',
    (SELECT rtrim(definition, ';') FROM testbed.kept_{view})
); END $$;
"""
MEND_SQL = """
DO $$ BEGIN EXECUTE format(
    'CREATE OR REPLACE VIEW pg_catalog.{view} AS %s', (SELECT definition FROM testbed.kept_{view})
); END $$;
DROP TABLE testbed.kept_{view};
"""


@contextmanager
def broken(server: RedshiftServer, *views: str) -> Iterator[None]:
    """Within this context, these views of the main database fail with XX000."""
    with ExitStack() as stack:
        for view in views:
            server.run(BREAK_SQL.format(view=view))
            stack.callback(server.run, MEND_SQL.format(view=view))
        yield


@contextmanager
def logged(server: RedshiftServer, text: str, at: datetime, query_type: str | None, has_text: bool) -> Iterator[None]:
    """Within this context, the log has one more query, in a separate session, with or without SYS_QUERY_TEXT."""
    start, end = literal(stamp(at)), literal(stamp(at + timedelta(seconds=1)))
    server.run(
        "INSERT INTO testbed.sys_query_history (user_id, username, query_id, session_id, database_name, query_type, "
        "status, start_time, end_time, query_text) VALUES (103, 'Loader-Ünit', 77, 777, 'dev', "
        f"{literal(query_type)}, 'success', {start}, {end}, {literal(text[:4000])})"
    )
    if has_text:
        server.run(
            "INSERT INTO testbed.sys_query_text (user_id, query_id, session_id, start_time, sequence, text) "
            f"VALUES (103, 77, 777, {start}, 0, {literal(text)})"
        )
    try:
        yield
    finally:
        server.run("DELETE FROM testbed.sys_query_history WHERE query_id = 77")
        server.run("DELETE FROM testbed.sys_query_text WHERE query_id = 77")


@contextmanager
def logged_too(server: RedshiftServer, *queries: Query) -> Iterator[None]:
    """Within this context, the log also has these queries, including their texts. Their IDs must be unused."""
    ids = ", ".join(str(query.query_id) for query in queries)
    try:
        server.run("\n".join(query_blocks(queries)))
        yield
    finally:
        server.run(f"DELETE FROM testbed.sys_query_history WHERE query_id IN ({ids})")
        server.run(f"DELETE FROM testbed.sys_query_text WHERE query_id IN ({ids})")
