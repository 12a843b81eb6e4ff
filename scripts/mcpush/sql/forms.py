"""Parses, from tokens, statements that move data and that sqlglot does not support.

Converts a `Statement` to a `Form` (names of target and sources), or returns None for other statements. Each rule links
to the vendor's documentation of the syntax.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcpush.sql.tokens import STRINGS, Parts, Statement


@dataclass(frozen=True)
class Form:
    """A move of whole tables: `target`, `source` and `more` sources as written, or the SQL of a source `query`."""

    kind: str
    target: Parts
    source: Parts = ()
    query: str | None = None
    target_is_path: bool = False
    more: tuple[Parts, ...] = ()


def read_form(statement: Statement) -> Form | None:
    """The statement as a `Form`; None if sqlglot should parse it."""
    first = statement.word(0)
    if first == "UNLOAD":
        return _unload(statement)
    if first == "ALTER":
        return _alter_table(statement)
    if first == "CREATE":
        return _create(statement)
    if first == "EXPORT":
        return _hive_export(statement)
    if first in ("IMPORT", "LOAD"):
        return _load_file(statement)
    if statement.has(0, "COPY", "FILES"):
        return _copy_files(statement)
    if first == "APPLY":
        return _apply_changes(statement)
    return None


def _unload(statement: Statement) -> Form | None:
    """https://docs.aws.amazon.com/redshift/latest/dg/r_UNLOAD.html: UNLOAD ('query') TO 's3://…'."""
    start = statement.skip(1, "(")
    if start >= len(statement):
        return None
    if statement.word(start) in ("SELECT", "WITH"):  # in Athena the query is not quoted
        end = statement.after(start - 1) if statement.word(start - 1) == "(" else len(statement)
        query = statement.text[statement.tokens[start].start : statement.tokens[end - 1].start]
        to = statement.find("TO", start=end)
    else:
        query = statement.tokens[start].text
        to = statement.find("TO", start=start + 2)
    if to is None:
        return None
    target, _ = statement.name_at(to + 1)
    return Form("unload", target, query=query, target_is_path=True)


def _alter_table(statement: Statement) -> Form | None:
    position = statement.skip(1, "TABLE", "IF", "EXISTS")
    table, position = statement.name_at(position)
    # https://docs.aws.amazon.com/redshift/latest/dg/r_ALTER_TABLE_APPEND.html
    if statement.has(position, "APPEND", "FROM"):
        return Form("append", table, statement.name_at(position + 2)[0])
    # https://cwiki.apache.org/confluence/display/Hive/Exchange+Partition: moves rows from the second table to the first
    if statement.word(position) == "EXCHANGE":
        with_ = statement.find("WITH", start=position)
        if with_ is not None:
            return Form("exchange partition", table, statement.name_at(statement.skip(with_ + 1, "TABLE"))[0])
    # https://learn.microsoft.com/en-us/sql/t-sql/statements/alter-table-transact-sql: SWITCH [PARTITION 1] TO t
    if statement.word(position) == "SWITCH":
        to = statement.find("TO", start=position)
        return Form("switch partition", statement.name_at(to + 1)[0], table) if to is not None else None
    return _clickhouse_partition(statement, table, position)


def _clickhouse_partition(statement: Statement, table: Parts, position: int) -> Form | None:
    """https://clickhouse.com/docs/sql-reference/statements/alter/partition."""
    if statement.word(position) in ("ATTACH", "REPLACE") and statement.word(position + 1) == "PARTITION":
        from_ = statement.find("FROM", start=position)
        return Form("attach partition", table, statement.name_at(from_ + 1)[0]) if from_ is not None else None
    if statement.has(position, "MOVE", "PARTITION"):
        to = statement.find("TO", start=position)
        if to is not None and statement.word(to + 1) == "TABLE":
            return Form("move partition", statement.name_at(to + 2)[0], table)
    return None


def _create(statement: Statement) -> Form | None:
    position = statement.skip(1, "OR", "REPLACE", "TEMP", "TEMPORARY")
    kind = statement.word(position)
    if kind == "FLOW" and statement.find("CDC") is not None:
        return _apply_changes(statement)
    if kind in ("STREAMING", "REFRESH"):
        return _auto_cdc_flow(statement)
    if kind == "MATERIALIZED":
        return _replica(statement, position + 2)
    if statement.has(position, "EXTERNAL", "TABLE"):
        return _external_table(statement, position + 2)
    if kind not in ("STREAM", "STAGE"):
        return None
    target, position = statement.name_at(statement.skip(position + 1, "IF", "NOT", "EXISTS"))
    if kind == "STREAM":
        # https://docs.snowflake.com/en/sql-reference/sql/create-stream
        on = statement.find("ON", start=position)
        if on is None:
            return None
        position = statement.skip(on + 1, "EXTERNAL", "DYNAMIC", "EVENT", "TABLE", "VIEW")
        # A stream on a stage contains changes to its list of files, not rows of a table.
        on_stage = statement.word(position) in ("STAGE", "DIRECTORY")
        source = () if on_stage else statement.name_at(position)[0]
        return Form("create stream", target, source)
    # https://docs.snowflake.com/en/sql-reference/sql/create-stage
    url = statement.find("URL", start=position)
    if url is None or statement.word(url + 1) != "=":
        return None
    return Form("create stage", target, statement.name_at(url + 2)[0])


def _auto_cdc_flow(statement: Statement) -> Form | None:
    """https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-ddl-create-streaming-table-auto-cdc."""
    table, flow = statement.find("TABLE"), statement.find("FLOW")
    source = statement.find("FROM", start=flow or 0)
    if table is None or flow is None or source is None or statement.word(flow + 2) != "CDC":
        return None
    target, _ = statement.name_at(statement.skip(table + 1, "IF", "NOT", "EXISTS"))
    return Form("apply changes", target, statement.name_at(statement.skip(source + 1, "STREAM", "("))[0])


def _replica(statement: Statement, position: int) -> Form | None:
    """https://cloud.google.com/bigquery/docs/materialized-view-replicas-create: … VIEW a AS REPLICA OF b."""
    target, _ = statement.name_at(statement.skip(position, "IF", "NOT", "EXISTS"))
    at = statement.find("REPLICA", start=position)
    if at is None or not statement.has(at - 1, "AS", "REPLICA", "OF"):
        return None
    return Form("create materialized view", target, statement.name_at(at + 2)[0])


def _external_table(statement: Statement, position: int) -> Form | None:
    """https://docs.snowflake.com/en/sql-reference/sql/create-external-table: … [ WITH ] LOCATION = @stage/path/ …."""
    target, position = statement.name_at(statement.skip(position, "IF", "NOT", "EXISTS"))
    location = statement.find("LOCATION", start=position)
    if location is None or statement.word(location + 1) != "=" or not statement.word(location + 2).startswith("@"):
        return None
    return Form("create external table", target, statement.name_at(location + 2)[0])


def _hive_export(statement: Statement) -> Form | None:
    """https://cwiki.apache.org/confluence/display/Hive/LanguageManual+ImportExport."""
    if statement.word(1) != "TABLE":
        return None
    table, position = statement.name_at(2)
    to = statement.find("TO", start=position)
    return Form("export", statement.name_at(to + 1)[0], table, target_is_path=True) if to is not None else None


def _load_file(statement: Statement) -> Form | None:
    """Statements that load a file into a table: MySQL LOAD DATA INFILE and Hive IMPORT.

    https://dev.mysql.com/doc/refman/8.4/en/load-data.html
    https://cwiki.apache.org/confluence/display/Hive/LanguageManual+ImportExport
    """
    if statement.word(0) == "IMPORT":
        table, source = statement.find("TABLE"), statement.find("FROM")
    elif statement.find("FILES") is not None:
        return _load_files(statement)
    else:
        table, source = statement.find("TABLE"), statement.find("INFILE")
    if table is None or source is None:
        return None
    return Form(statement.word(0).lower(), statement.name_at(table + 1)[0], statement.name_at(source + 1)[0])


def _copy_files(statement: Statement) -> Form | None:
    """https://docs.snowflake.com/en/sql-reference/sql/copy-files: COPY FILES INTO @a FROM @b, or FROM (query)."""
    target, position = statement.name_at(statement.skip(2, "INTO"))
    if not target or statement.word(position) != "FROM":
        return None
    if statement.word(position + 1) != "(":
        return Form("copy files", target, statement.name_at(position + 1)[0], target_is_path=True)
    end = statement.after(position + 1) - 1
    query = statement.text[statement.tokens[position + 2].start : statement.tokens[end].start]
    return Form("copy files", target, query=query, target_is_path=True)


def _load_files(statement: Statement) -> Form | None:
    """https://cloud.google.com/bigquery/docs/reference/standard-sql/load-statements: LOAD DATA INTO t … FROM FILES."""
    target, _ = statement.name_at(statement.skip(2, "INTO", "OVERWRITE", "TEMP", "TEMPORARY", "TABLE"))
    paths: list[Parts] = []
    for position in range(3, len(statement) - 2):
        if statement.has(position, "URIS", "="):
            end = statement.after(position + 2)
            listed = (token for token in statement.tokens[position + 2 : end] if token.token_type in STRINGS)
            paths.extend(((token.text, True),) for token in listed)
    return Form("load", target, more=tuple(paths)) if target and paths else None


def _apply_changes(statement: Statement) -> Form | None:
    """https://docs.databricks.com/aws/en/ldp/developer/ldp-sql-ref-apply-changes-into: … INTO t FROM STREAM(s)."""
    into, source = statement.find("INTO"), statement.find("FROM")
    if into is None or source is None:
        return None
    position = statement.skip(source + 1, "STREAM", "(")
    names = [statement.name_at(place)[0] for place in (into + 1, position)]
    target, read = (name[1:] if len(name) == 2 and name[0][0].upper() == "LIVE" else name for name in names)
    return Form("apply changes", target, read)
