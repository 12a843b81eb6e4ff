"""Errors of Databricks. Needs only the standard library.

Error conditions and SQLSTATEs: https://docs.databricks.com/aws/en/error-messages/error-classes. The texts are those
that users quote in public issues, unless a page has them.
"""

from __future__ import annotations


class Refused(Exception):  # noqa: N818
    """A statement that fails. ``text`` is the message as the driver shows it."""

    def __init__(self, text: str, state: str) -> None:
        super().__init__(text)
        self.text, self.state = text, state


class InvalidSession(Exception):  # noqa: N818
    """The session does not exist (any more): https://github.com/databricks/databricks-sql-python/issues/400"""


class ConnectionGone(Exception):  # noqa: N818
    """Tells the HTTP server to close the connection without a response."""


def refused(condition: str, text: str, state: str) -> Refused:
    return Refused(f"[{condition}] {text} SQLSTATE: {state}", state)


def denied(privilege: str, kind: str, name: str) -> Refused:
    """https://github.com/databricks/dbt-databricks/issues/838. ``kind``: Catalog, Schema, Table or View."""
    text = f"Insufficient privileges:\nUser does not have {privilege} on {kind} '{name}'."
    return refused("INSUFFICIENT_PERMISSIONS", text, "42501")


def no_table(*parts: str) -> Refused:
    name = ".".join(f"`{part}`" for part in parts)
    text = (
        f"The table or view {name} cannot be found. Verify the spelling and correctness of the schema and catalog.\n"
        "If you did not qualify the name with a schema, verify the current_schema() output, or qualify the name with "
        "the correct schema and catalog.\n"
        "To tolerate the error on drop use DROP VIEW IF EXISTS or DROP TABLE IF EXISTS."
    )
    return refused("TABLE_OR_VIEW_NOT_FOUND", text, "42P01")


def no_schema(catalog: str, schema: str) -> Refused:
    text = f"The schema `{catalog}`.`{schema}` cannot be found. Verify the spelling and correctness of both."
    return refused("SCHEMA_NOT_FOUND", text, "42704")


def no_catalog(catalog: str) -> Refused:
    text = (
        f"Catalog '{catalog}' was not found. Please verify the catalog name and then retry the query or command again."
    )
    return refused("NO_SUCH_CATALOG_EXCEPTION", text, "42704")


def unknown_column(text: str) -> Refused:
    return refused("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", text, "42703")


def not_parsed(text: str) -> Refused:
    return refused("PARSE_SYNTAX_ERROR", f"Syntax error at or near {text}.", "42601")


def unbound(name: str) -> Refused:
    return refused("UNBOUND_SQL_PARAMETER", f"Found the unbound parameter: {name}.", "42P02")


def is_a_view(name: str, operation: str) -> Refused:
    text = f"'{operation}' expects a table but {name} is a view."
    return refused("EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE", text, "42809")


def timed_out() -> Refused:
    """https://github.com/databricks/databricks-sql-python/issues/215"""
    return Refused("DEADLINE_EXCEEDED: This operation took too long", "57014")
