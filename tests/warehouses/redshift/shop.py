"""A believable shop in the local Redshift, and the truth about it: what every test compares with.

From Python dataclasses to the SQL that fills the server (``Shop.load``). Four local databases (one closed to
most users, one with a dot in its name), a database from a datashare, a Spectrum schema, views of all three sorts,
names with dots, quotes, spaces and letters of other alphabets, tables without statistics and without rows, and a
day of queries. Needs no server: the same call with the same ``now`` makes the same shop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from tests.warehouses.redshift.launch import Load, User, copy_block, literal, quoted

CHUNK = 4000  # characters of text a row of SYS_QUERY_TEXT holds
LONGEST_REMARK = 256  # characters a remark has in the SVV views
SYSTEM_USER_ID = 1

ADMIN = User(100, "admin", "Adm1n!'secret", superuser=True)
MONITOR = User(101, "monitor", "m0nitor;secret", grants=(("dev", "sales"), ("dev", "spectrum"), ("analytics", None)))
AUDITOR = User(
    102,
    "auditor",
    "aud1tor secret",
    syslog_access="UNRESTRICTED",
    grants=(("dev", None), ("analytics", None)),
    may_select=("svv_table_info",),
)
LOADER = User(103, "Loader-Ünit", "l0ader-secret", grants=(("dev", None), ("analytics", None)))
USERS = [ADMIN, MONITOR, AUDITOR, LOADER]
DROPPED_USER_ID = 177  # ran queries, is gone since

DEV, ANALYTICS, FINANCE, DOTTED, SHARED = "dev", "analytics", "finance", "emea.ops", "partner_share"
LOCAL_DATABASES = [DEV, ANALYTICS, FINANCE, DOTTED]
SHARE_NAME = "salesshare"
ODD_SCHEMA = 'odd. "schema"'
ODD_TABLE = 'order details.v2 "final"'
LONG_COMMENT = "Orders as the shop's till books them. " * 20 + "Ends here."

# PostgreSQL's names of Redshift's types, where it has not the same.
TYPES_IN_POSTGRESQL = {"super": "jsonb", "geometry": "text", "hllsketch": "text", "binary varying": "bytea"}


@dataclass(frozen=True)
class Column:
    name: str
    data_type: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    comment: str | None = None

    @property
    def full_type(self) -> str:
        """The type as a person would declare it."""
        if self.data_type == "numeric":
            return f"numeric({self.precision},{self.scale})"
        return f"{self.data_type}({self.length})" if self.length else self.data_type


@dataclass(frozen=True)
class Relation:
    """``kind`` is what the collector should call it. None means unknown to the warehouse itself."""

    database: str
    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    comment: str | None = None
    visible_rows: int | None = None
    all_rows: int | None = None  # with the deleted ones
    size_mb: int | None = None
    created: datetime | None = None
    modified: datetime | None = None
    definition: str | None = None  # of views: what PG_VIEWS shows
    sources: tuple[str, ...] = ()  # of views: schema.table they read
    location: str | None = None

    @property
    def full_name(self) -> str:
        return f"{self.database}.{self.schema}.{self.name}"

    @property
    def is_view(self) -> bool:
        return "view" in self.kind

    @property
    def table_type(self) -> str:
        """As SVV_ALL_TABLES has it."""
        if self.is_view:
            return "VIEW"
        return {"external table": "EXTERNAL TABLE", "datashare table": "SHARED TABLE"}.get(self.kind, "TABLE")

    @property
    def subtype(self) -> str | None:
        """As SHOW TABLES has it."""
        names = {"table": "REGULAR TABLE", "view": "REGULAR VIEW", "external table": None, "datashare table": None}
        return names.get(self.kind, self.kind.upper())


@dataclass(frozen=True)
class Query:
    query_id: int
    user: User | None  # None: dropped since
    database: str
    query_type: str
    text: str
    start: datetime
    seconds: float = 2.0
    session_id: int = 1_073_741_824
    transaction_id: int = 5000
    status: str = "success"
    error: str | None = None
    returned_rows: int | None = None
    returned_bytes: int | None = None
    user_id_override: int | None = None
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)

    @property
    def user_id(self) -> int:
        if self.user_id_override is not None:
            return self.user_id_override
        return self.user.user_id if self.user else DROPPED_USER_ID

    @property
    def is_over(self) -> bool:
        return self.status in ("success", "failed", "canceled")


def logged(text: str) -> str:
    """A statement as the log writes it: backslash and new line as two characters each."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def pieces(text: str) -> list[str]:
    written = logged(text)
    return [written[at : at + CHUNK] for at in range(0, len(written), CHUNK)] or [""]


def stamp(moment: datetime | None) -> str | None:
    """A moment as the warehouse keeps it: UTC, without a zone."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f") if moment else None


# --- writing it into the server ------------------------------------------------------------------------


HISTORY_COLUMNS = [
    "user_id",
    "query_id",
    "query_label",
    "transaction_id",
    "session_id",
    "database_name",
    "query_type",
    "status",
    "result_cache_hit",
    "start_time",
    "end_time",
    "elapsed_time",
    "queue_time",
    "execution_time",
    "error_message",
    "returned_rows",
    "returned_bytes",
    "query_text",
    "redshift_version",
    "compute_type",
    "compile_time",
    "planning_time",
    "lock_wait_time",
    "service_class_id",
    "service_class_name",
    "query_priority",
    "generic_query_hash",
    "username",
]


def _history_row(query: Query) -> tuple[object, ...]:
    microseconds = int(query.seconds * 1_000_000)
    hashed = f"h{hash((query.query_type, len(query.text))) & 0xFFFFFFFF:x}"
    return (
        query.user_id,
        query.query_id,
        query.extra.get("label", "default"),
        query.transaction_id,
        query.session_id,
        query.database,
        query.query_type,
        query.status,
        "f",
        stamp(query.start),
        stamp(query.end),
        microseconds,
        1200,
        microseconds - 1200,
        query.error,
        query.returned_rows,
        query.returned_bytes,
        pieces(query.text)[0],
        "1.0.98765",
        "primary",
        350,
        90,
        0,
        100,
        "Default queue",
        "normal",
        hashed,
        query.user.name if query.user else None,
    )


def query_blocks(queries: Iterable[Query]) -> Iterator[str]:
    """COPY statements for SYS_QUERY_HISTORY and SYS_QUERY_TEXT, a few thousand queries each."""
    batch: list[Query] = []
    for query in queries:
        batch.append(query)
        if len(batch) == 5000:
            yield from _query_batch(batch)
            batch = []
    if batch:
        yield from _query_batch(batch)


def _query_batch(queries: list[Query]) -> Iterator[str]:
    yield copy_block("testbed.sys_query_history", HISTORY_COLUMNS, (_history_row(query) for query in queries))
    names = ["user_id", "query_id", "transaction_id", "session_id", "start_time", "sequence", "text"]
    yield copy_block(
        "testbed.sys_query_text",
        names,
        (
            (q.user_id, q.query_id, q.transaction_id, q.session_id, stamp(q.start), sequence, piece)
            for q in queries
            # a statement's pieces are not written in order
            for sequence, piece in reversed(list(enumerate(pieces(q.text))))
        ),
    )


def relation_blocks(relations: list[Relation]) -> Iterator[str]:
    """COPY statements for what the SVV views and SHOW TABLES say of these relations."""
    yield copy_block(
        "testbed.svv_all_tables",
        ["database_name", "schema_name", "table_name", "table_type", "remarks"],
        ((r.database, r.schema, r.name, r.table_type, _remark(r.comment)) for r in relations),
    )
    yield copy_block(
        "testbed.svv_all_columns",
        [
            "database_name",
            "schema_name",
            "table_name",
            "column_name",
            "ordinal_position",
            "is_nullable",
            "data_type",
            "character_maximum_length",
            "numeric_precision",
            "numeric_scale",
            "remarks",
        ],
        (
            (
                r.database,
                r.schema,
                r.name,
                c.name,
                number,
                "YES",
                c.data_type,
                c.length,
                c.precision,
                c.scale,
                _remark(c.comment),
            )
            for r in relations
            if r.kind != "late binding view"
            for number, c in enumerate(r.columns, start=1)
        ),
    )
    yield copy_block(
        "testbed.show_tables",
        ["database_name", "schema_name", "table_name", "table_type", "last_modified_time", "table_subtype", "owner"],
        ((r.database, r.schema, r.name, r.table_type, stamp(r.modified), r.subtype, "admin") for r in relations),
    )
    yield copy_block(
        "testbed.svv_table_info",
        ["database", "schema", "table_id", "table", "size", "tbl_rows", "estimated_visible_rows", "create_time"],
        (
            (r.database, r.schema, number, _backing(r), r.size_mb, r.all_rows, r.visible_rows, stamp(r.created))
            for number, r in enumerate(relations, start=200_000)
            if r.size_mb is not None
        ),
    )
    yield copy_block(
        "testbed.svv_external_tables",
        ["redshift_database_name", "schemaname", "tablename", "tabletype", "location"],
        ((r.database, r.schema, r.name, "TABLE", r.location) for r in relations if r.location),
    )
    yield copy_block(
        "testbed.svv_mv_info",
        ["database_name", "schema_name", "user_name", "name", "is_stale", "state"],
        ((r.database, r.schema, "admin", r.name, "f", 1) for r in relations if r.kind == "materialized view"),
    )


def _remark(comment: str | None) -> str | None:
    return comment[:LONGEST_REMARK] if comment else None


def _backing(relation: Relation) -> str:
    """The table that holds the rows: a materialised view keeps them in one of its own."""
    return f"mv_tbl__{relation.name}__0" if relation.kind == "materialized view" else relation.name


def own_statements(relations: list[Relation]) -> list[str]:
    """What one database holds itself: schemas, tables and views, comments, creation times."""
    statements = [f"CREATE SCHEMA IF NOT EXISTS {quoted(name)};" for name in sorted({r.schema for r in relations})]
    for relation in relations:
        statements.extend(_own(relation))
    statements.append(class_info(relations))
    return statements


def class_info(relations: list[Relation]) -> str:
    """The rows of PG_CLASS_INFO: when each relation was created."""
    rows = [f"({literal(r.schema)}, {literal(r.name)}, {literal(stamp(r.created))}::timestamp)" for r in relations]
    return (
        "INSERT INTO testbed.pg_class_info (reloid, relname, relnamespace, relcreationtime) "
        f"SELECT 1, v.name, n.oid, v.created FROM (VALUES {', '.join(rows)}) AS v (schema, name, created) "
        "JOIN pg_namespace AS n ON n.nspname = v.schema;"
    )


def _own(relation: Relation) -> Iterator[str]:
    name = f"{quoted(relation.schema)}.{quoted(relation.name)}"
    if relation.kind == "table":
        columns = ", ".join(f"{quoted(c.name)} {_postgresql_type(c)}" for c in relation.columns)
        yield f"CREATE TABLE {name} ({columns});"
        if relation.comment:
            yield f"COMMENT ON TABLE {name} IS {literal(relation.comment)};"
        for column in relation.columns:
            if column.comment:
                yield f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.comment)};"
    elif relation.kind == "view":
        yield f"CREATE VIEW {name} AS {relation.definition}"
    elif relation.is_view:
        texts = (relation.schema, relation.name, "admin", relation.definition)
        yield f"INSERT INTO testbed.view_texts VALUES ({', '.join(literal(text) for text in texts)});"
    if relation.kind == "late binding view":
        for number, c in enumerate(relation.columns, start=1):
            row = (relation.schema, relation.name, c.name, c.full_type, number)
            yield f"INSERT INTO testbed.late_binding_columns VALUES ({', '.join(literal(v) for v in row)});"


def _postgresql_type(column: Column) -> str:
    return TYPES_IN_POSTGRESQL.get(column.data_type, column.full_type)


# --- the shop ------------------------------------------------------------------------------------------


@dataclass
class Shop:
    now: datetime
    relations: list[Relation]
    queries: list[Query]
    users: list[User]
    # what only the system views know, and only those of the main database: quick to make in thousands
    bulk_queries: list[Query] = field(default_factory=list)
    bulk_relations: list[Relation] = field(default_factory=list)

    def load(self) -> Load:
        local = [relation for relation in self.relations if relation.database in LOCAL_DATABASES]
        backing = [
            Relation(r.database, r.schema, _backing(r), "table", r.columns)
            for r in self.relations
            if r.kind == "materialized view"
        ]
        hidden = copy_block(
            "testbed.svv_all_tables",
            ["database_name", "schema_name", "table_name", "table_type"],
            ((r.database, r.schema, r.name, r.table_type) for r in backing),
        )
        return Load(
            users=self.users,
            databases=[name for name in LOCAL_DATABASES if name != DEV],
            closed={FINANCE: [ADMIN.name], DOTTED: [ADMIN.name]},
            everywhere=[
                *self._cluster_statements(),
                *relation_blocks(self.relations),
                hidden,
                *query_blocks(self.queries),
            ],
            main_only=list(self._bulk()),
            within={name: own_statements([r for r in local if r.database == name]) for name in LOCAL_DATABASES},
        )

    def _bulk(self) -> Iterator[str]:
        yield from query_blocks(self.bulk_queries)
        if self.bulk_relations:
            schemas = sorted({relation.schema for relation in self.bulk_relations})
            yield from (f"CREATE SCHEMA {quoted(name)};" for name in schemas)
            yield from relation_blocks(self.bulk_relations)
            yield class_info(self.bulk_relations)
            yield copy_block(
                "testbed.svv_all_schemas",
                ["database_name", "schema_name", "schema_owner", "schema_type"],
                ((DEV, name, 100, "local") for name in schemas),
            )

    def _cluster_statements(self) -> Iterator[str]:
        databases = [(name, "local") for name in [*LOCAL_DATABASES, "padb_harvest"]] + [(SHARED, "shared")]
        yield copy_block(
            "testbed.svv_redshift_databases",
            ["database_name", "database_owner", "database_type"],
            ((name, 100, kind) for name, kind in databases),
        )
        schemas = {(r.database, r.schema) for r in self.relations}
        kinds = {SHARED: "shared"}
        yield copy_block(
            "testbed.svv_all_schemas",
            ["database_name", "schema_name", "schema_owner", "schema_type"],
            (
                (database, name, 100, "external" if name == "spectrum" else kinds.get(database, "local"))
                for database, name in sorted(schemas | {(each, "pg_catalog") for each in LOCAL_DATABASES})
            ),
        )
        yield copy_block(
            "testbed.svv_datashares",
            ["share_name", "source_database", "consumer_database", "share_type", "producer_account"],
            iter(
                [
                    (SHARE_NAME, None, SHARED, "INBOUND", "123456789012"),
                    ("outshare", DEV, None, "OUTBOUND", "123456789012"),
                ]
            ),
        )

    def relation(self, schema: str, name: str, database: str = DEV) -> Relation:
        found = [r for r in self.relations if (r.database, r.schema, r.name) == (database, schema, name)]
        assert len(found) == 1, f"{database}.{schema}.{name}"
        return found[0]


def varchar(name: str, length: int = 256, comment: str | None = None) -> Column:
    return Column(name, "character varying", length=length, comment=comment)


def integer(name: str, comment: str | None = None) -> Column:
    return Column(name, "integer", precision=32, scale=0, comment=comment)


def numeric(name: str, precision: int, scale: int) -> Column:
    return Column(name, "numeric", precision=precision, scale=scale)


def shop(now: datetime) -> Shop:
    return Shop(now, relations(now), day_of_queries(now), USERS)


def relations(now: datetime) -> list[Relation]:
    return [*_dev_tables(now), *_dev_views(now), *_other_databases(now)]


def _dev_tables(now: datetime) -> Iterator[Relation]:
    born = now - timedelta(days=400)
    orders = (
        integer("order_id", "Number of the till"),
        integer("customer_id"),
        numeric("amount", 18, 2),
        Column("ordered_at", "timestamp without time zone"),
    )
    yield Relation(
        DEV,
        "sales",
        "orders",
        "table",
        orders,
        LONG_COMMENT,
        visible_rows=120_000,
        all_rows=131_072,
        size_mb=64,
        created=born,
        modified=now - timedelta(hours=2),
    )
    yield Relation(
        DEV,
        "sales",
        "customers",
        "table",
        (integer("customer_id"), varchar("name", 128), varchar("country", 2)),
        size_mb=12,
        created=born,
        modified=now - timedelta(days=3),
    )
    yield Relation(
        DEV,
        "sales",
        "order_items",
        "table",
        (integer("order_id"), varchar("sku", 40), numeric("price", 12, 4)),
        all_rows=990,
        size_mb=3,
        created=born,
        modified=now - timedelta(hours=1),
    )
    yield Relation(DEV, "sales", "returns", "table", (integer("order_id"), varchar("reason")), created=born)
    yield Relation(
        DEV, "public", "every_type", "table", _every_type(), visible_rows=1, all_rows=1, size_mb=1, created=born
    )
    yield Relation(
        DEV,
        "public",
        ODD_TABLE,
        "table",
        (integer('a "quoted" column'), varchar("größe in cm.", comment="Höhe mal Breite")),
        'It\'s "odd"',
        visible_rows=7,
        all_rows=7,
        size_mb=1,
        created=born,
        modified=now - timedelta(hours=5),
    )
    yield Relation(
        DEV,
        ODD_SCHEMA,
        "Заказы",
        "table",
        (integer("№"), varchar("Имя")),
        visible_rows=3,
        all_rows=3,
        size_mb=1,
        created=born,
        modified=now - timedelta(hours=6),
    )


def _every_type() -> tuple[Column, ...]:
    return (
        Column("c_smallint", "smallint", precision=16, scale=0),
        Column("c_bigint", "bigint", precision=64, scale=0),
        numeric("c_numeric", 38, 10),
        Column("c_real", "real", precision=24),
        Column("c_double", "double precision", precision=53),
        Column("c_boolean", "boolean"),
        Column("c_char", "character", length=3),
        varchar("c_varchar", 65535),
        Column("c_date", "date"),
        Column("c_timestamptz", "timestamp with time zone"),
        Column("c_super", "super"),
    )


def _dev_views(now: datetime) -> Iterator[Relation]:
    born = now - timedelta(days=90)
    yield Relation(
        DEV,
        "sales",
        "daily_revenue",
        "view",
        (Column("day", "timestamp without time zone"), Column("revenue", "numeric", precision=38, scale=2)),
        created=born,
        sources=("sales.orders",),
        definition="SELECT date_trunc('day', ordered_at) AS day, sum(amount) AS revenue FROM sales.orders GROUP BY 1;",
    )
    yield Relation(
        DEV,
        "sales",
        "orders_by_country",
        "view",
        (varchar("country", 2), Column("orders", "bigint", precision=64, scale=0)),
        created=born,
        sources=("sales.customers", "sales.orders"),
        definition="SELECT c.country, count(o.order_id) AS orders FROM sales.orders o JOIN sales.customers c "
        "ON c.customer_id = o.customer_id GROUP BY c.country;",
    )
    yield Relation(
        DEV,
        "sales",
        "clicks_late",
        "late binding view",
        (varchar("url", 2000), integer("hits")),
        created=born,
        sources=("spectrum.clicks",),
        definition="create view sales.clicks_late as select url, hits from spectrum.clicks with no schema binding;",
    )
    yield Relation(
        DEV,
        "sales",
        "best_customers",
        "materialized view",
        (integer("customer_id"), numeric("spent", 38, 2)),
        visible_rows=500,
        all_rows=500,
        size_mb=2,
        created=born,
        modified=now - timedelta(minutes=30),
        sources=("sales.orders",),
        definition="create materialized view sales.best_customers as select customer_id, sum(amount) as spent "
        "from sales.orders group by customer_id;",
    )
    yield Relation(
        DEV,
        "spectrum",
        "clicks",
        "external table",
        (varchar("url", 2000), integer("hits")),
        location="s3://lake/clicks/",
    )


def _other_databases(now: datetime) -> Iterator[Relation]:
    born = now - timedelta(days=200)
    for name in ("fct_orders", "dim_customer", "daily_totals"):
        yield Relation(
            ANALYTICS,
            "marts",
            name,
            "table",
            (integer("order_id"), numeric("amount", 18, 2)),
            visible_rows=1000,
            all_rows=1000,
            size_mb=5,
            created=born,
            modified=now - timedelta(hours=4),
        )
    yield Relation(
        ANALYTICS,
        "marts",
        "revenue",
        "view",
        (numeric("revenue", 38, 2),),
        created=born,
        sources=("marts.fct_orders",),
        definition="SELECT sum(amount) AS revenue FROM marts.fct_orders;",
    )
    yield Relation(
        FINANCE,
        "ledger",
        "entries",
        "table",
        (integer("entry_id"), numeric("amount", 18, 2)),
        visible_rows=42,
        all_rows=42,
        size_mb=1,
        created=born,
        modified=now - timedelta(days=1),
    )
    yield Relation(DOTTED, "public", "shifts", "table", (integer("shift_id"),), created=born)
    yield Relation(
        SHARED,
        "public",
        "partner_orders",
        "datashare table",
        (integer("partner_id"), numeric("amount", 18, 2)),
        modified=now - timedelta(hours=8),
    )


def many_tables(count: int, now: datetime, columns: int = 10) -> list[Relation]:
    """For ``Shop.bulk_relations``."""
    names = tuple(varchar(f"c{number}") for number in range(1, columns + 1))
    return [
        Relation(
            DEV,
            "bulk",
            f"t{number:05d}",
            "table",
            names,
            visible_rows=number,
            all_rows=number,
            size_mb=1,
            created=now - timedelta(days=9),
            modified=now - timedelta(seconds=number),
        )
        for number in range(count)
    ]


def many_queries(count: int, now: datetime, long_ones: int = 50, first_id: int = 1_000_000) -> Iterator[Query]:
    """For ``Shop.bulk_queries``: spread over half a day; the first ``long_ones`` have 40 pieces of text."""
    step = timedelta(hours=12) / max(count, 1)
    start = now - timedelta(hours=13)
    for number in range(count):
        is_long = number < long_ones
        yield Query(
            query_id=first_id + number,
            user=LOADER,
            database=DEV,
            query_type="INSERT" if is_long else "SELECT",
            text=_long_statement(number) if is_long else _short_statement(number),
            start=start + step * number,
            seconds=0.5,
            session_id=2_000_000 + number % 50,
            transaction_id=number,
            returned_rows=number % 97,
            returned_bytes=number % 97 * 40,
        )


def _short_statement(number: int) -> str:
    return f"SELECT /* {number} */ order_id,\n  'c:\\dir' AS path FROM sales.orders WHERE order_id = {number}"


def _long_statement(number: int) -> str:
    """Its pieces end in blanks and in the middle of the sign for a new line, now and then."""
    separators = (", ", ",  ", ",\n")
    listed = "".join(f"{each}{separators[each % 3]}" for each in range(100_000, 118_000))
    head = "INSERT INTO sales.order_items (order_id) SELECT o.order_id FROM sales.orders AS o WHERE o.order_id IN"
    return f"{head} ({listed}{number})"


def day_of_queries(now: datetime) -> list[Query]:
    return [*_loads(now), *_transformations(now), *_failures(now)]


def _loads(now: datetime) -> Iterator[Query]:
    hour = now - timedelta(hours=6)
    yield Query(
        9001,
        LOADER,
        DEV,
        "COPY",
        "COPY sales.orders FROM 's3://lake/orders/2026/' IAM_ROLE default FORMAT AS PARQUET",
        hour,
        12,
        session_id=11,
    )
    yield Query(
        9002,
        LOADER,
        DEV,
        "UNLOAD",
        "UNLOAD ('SELECT order_id, amount FROM sales.orders WHERE country = ''DE''') TO 's3://lake/export/orders_' "
        "IAM_ROLE default PARQUET",
        hour + timedelta(minutes=1),
        30,
        session_id=11,
    )


def _transformations(now: datetime) -> Iterator[Query]:
    at = now - timedelta(hours=5)
    minute = timedelta(minutes=1)
    yield Query(
        9010,
        LOADER,
        DEV,
        "INSERT",
        "INSERT INTO sales.order_items (order_id, price)\n-- prices of today\n"
        "SELECT o.order_id, o.amount\nFROM sales.orders o",
        at,
        4,
        session_id=12,
    )
    yield Query(
        9011,
        LOADER,
        ANALYTICS,
        "CTAS",
        "CREATE TEMP TABLE stage AS SELECT order_id, amount FROM dev.sales.orders",
        at + minute,
        3,
        session_id=13,
    )
    yield Query(
        9012,
        LOADER,
        ANALYTICS,
        "INSERT",
        "INSERT INTO marts.fct_orders (order_id, amount) SELECT order_id, amount FROM stage",
        at + 2 * minute,
        3,
        session_id=13,
    )
    yield Query(
        9013,
        LOADER,
        ANALYTICS,
        "UPDATE",
        "UPDATE marts.dim_customer SET amount = c.customer_id FROM dev.sales.customers c "
        "WHERE c.customer_id = order_id",
        at + 3 * minute,
        3,
        session_id=13,
    )
    yield Query(9014, LOADER, DEV, "UTILITY", "SET search_path TO sales", at + 4 * minute, 0.1, session_id=14)
    yield Query(
        9015,
        LOADER,
        DEV,
        "INSERT",
        "INSERT INTO returns (order_id) SELECT order_id FROM orders WHERE amount < 0",
        at + 5 * minute,
        1,
        session_id=14,
    )
    yield Query(
        9016,
        None,
        DEV,
        "SELECT",
        "SELECT count(*) FROM sales.orders",
        at + 6 * minute,
        1,
        returned_rows=1,
        returned_bytes=8,
    )
    yield Query(
        9017,
        MONITOR,
        DEV,
        "SELECT",
        "SELECT 'été' AS saison",
        at + 7 * minute,
        0.2,
        returned_rows=1,
        returned_bytes=5,
        extra={"label": "push-ingestion"},
    )


def _failures(now: datetime) -> Iterator[Query]:
    at = now - timedelta(hours=4)
    yield Query(
        9020,
        LOADER,
        DEV,
        "INSERT",
        "INSERT INTO sales.orders SELECT * FROM sales.no_such_table",
        at,
        0.3,
        status="failed",
        error='relation "sales.no_such_table" does not exist',
    )
    yield Query(
        9021,
        LOADER,
        DEV,
        "SELECT",
        "SELECT * FROM sales.orders a, sales.orders b",
        at,
        90,
        status="canceled",
        error="Query (9021) canceled on user's request",
    )
    yield Query(9022, LOADER, DEV, "SELECT", "SELECT pg_sleep(36000)", at, 1, status="running")
    yield Query(
        9023,
        None,
        DEV,
        "SELECT",
        "SELECT 1 /* by Redshift itself */",
        at,
        0.1,
        user_id_override=SYSTEM_USER_ID,
    )
