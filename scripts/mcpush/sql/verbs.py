"""Maps each kind of statement to its handler. Contains the handlers for queries and unsupported statements."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from mcpush.sql import changes, definitions, transfers
from mcpush.sql.query import read_query
from mcpush.sql.statements import Handler, StatementReader

# https://docs.vertica.com/latest/en/sql-reference/functions/management-functions/partition-functions/
_PARTITION_FUNCTIONS = frozenset(
    {"SWAP_PARTITIONS_BETWEEN_TABLES", "MOVE_PARTITIONS_TO_TABLE", "COPY_PARTITIONS_TO_TABLE"}
)


def _query(reader: StatementReader, node: exp.Expr) -> None:
    """Read a query that only reads, or SELECT … INTO t."""
    relation = read_query(reader.queries, node, {})
    select = node
    while isinstance(select, (exp.Subquery, exp.SetOperation)):
        select = select.this
    into = select.args.get("into") if isinstance(select, exp.Select) else None
    target = reader.name_of(into.this) if into is not None else None
    if into is None or target is None:
        _partition_swap(reader, node)
        reader.emit(None, "select", relation.outputs)
        return
    temporary = bool(into.args.get("temporary")) or target.name.startswith("#")
    if temporary:
        target = reader.as_temporary(into.this, target)
    reader.emit(target, "select into", relation.outputs, temporary=temporary, content=relation, action="create")


def _partition_swap(reader: StatementReader, node: exp.Expr) -> None:
    """Vertica: SELECT SWAP_PARTITIONS_BETWEEN_TABLES('staging', min, max, 'target') and similar functions."""
    for item in node.expressions if isinstance(node, exp.Select) else ():
        call = item.this if isinstance(item, exp.Alias) else item
        if not isinstance(call, exp.Anonymous) or str(call.this).upper() not in _PARTITION_FUNCTIONS:
            continue
        texts = [argument.name for argument in call.expressions if isinstance(argument, exp.Literal)]
        if len(texts) > 1:
            source, target = (
                reader.namer.table(tuple((p, False) for p in text.split("."))) for text in (texts[0], texts[-1])
            )
            reader.queries.reads[source] = None
            reader.emit(target, "swap partitions")
            reader.queries.reads.clear()


def _command(reader: StatementReader, node: exp.Expr) -> None:
    verb = str(node.this).upper()
    if verb != "ALTER":  # forms.py handles the ALTER statements that move data
        reader.skip_reason = f"unsupported statement: {verb}"


HANDLERS: Mapping[type, Handler] = {
    **changes.HANDLERS,
    **definitions.HANDLERS,
    **transfers.HANDLERS,
    exp.Query: _query,
    exp.Command: _command,
}
