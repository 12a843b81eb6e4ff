"""A realistic shop in the local Redshift, and the truth about it, with which every test compares.

``Shop.load`` is the SQL that fills the server with it. The shop has four local databases (one closed to most users, one
with a dot in its name), a database from a datashare, a Spectrum schema, views of all three kinds, names with dots,
quotes, spaces and non-ASCII letters, tables without statistics and without rows, and a day of queries. Needs no server:
the same ``now`` always creates the same shop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.warehouses.redshift.filling import backing_name, class_info, own_statements, query_blocks, relation_blocks
from tests.warehouses.redshift.launch import Load, User, copy_block, quoted
from tests.warehouses.redshift.truth import Column, Query, Relation

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
CATALOGER = User(
    104,
    "cataloger",
    "cat4loger secret",
    grants=(("dev", None), ("analytics", None)),
    may_select_tables=False,
    may_select=("svv_table_info",),
)
LOADER = User(103, "Loader-Ünit", "l0ader-secret", grants=(("dev", None), ("analytics", None)))
USERS = [ADMIN, MONITOR, AUDITOR, CATALOGER, LOADER]

DEV, ANALYTICS, FINANCE, DOTTED, SHARED = "dev", "analytics", "finance", "emea.ops", "partner_share"
LOCAL_DATABASES = [DEV, ANALYTICS, FINANCE, DOTTED]
SHARE_NAME = "salesshare"
ODD_SCHEMA = 'odd. "schema"'
ODD_TABLE = 'order details.v2 "final"'
LONG_COMMENT = "Orders as the shop's till books them. " * 20 + "Ends here."


@dataclass
class Shop:
    now: datetime
    relations: list[Relation]
    queries: list[Query]
    users: list[User]
    # rows that exist only in the system views, and only in the main database: quick to create by the thousands
    bulk_queries: list[Query] = field(default_factory=list)
    bulk_relations: list[Relation] = field(default_factory=list)

    def load(self) -> Load:
        local = [relation for relation in self.relations if relation.database in LOCAL_DATABASES]
        backing = [
            Relation(r.database, r.schema, backing_name(r), "table", r.columns)
            for r in self.relations
            if r.kind == "materialized view"
        ]
        hidden = [
            copy_block(
                view,
                ["database_name", "schema_name", "table_name", "table_type"],
                ((r.database, r.schema, r.name, r.table_type) for r in backing),
            )
            for view in ("testbed.svv_all_tables", "testbed.svv_redshift_tables")
        ]
        return Load(
            users=self.users,
            databases=[name for name in LOCAL_DATABASES if name != DEV],
            closed={FINANCE: [ADMIN.name], DOTTED: [ADMIN.name]},
            everywhere=[
                *self._cluster_statements(),
                *relation_blocks(self.relations),
                *hidden,
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
    return [*_dev_tables(now), *_archive(now), *_dev_views(now), *_other_databases(now)]


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


def _archive(now: datetime) -> Iterator[Relation]:
    """A table of the same name in another schema. Which one a query means depends on the session's search path."""
    yield Relation(
        DEV,
        "archive",
        "orders",
        "table",
        (integer("order_id"), numeric("amount", 18, 2)),
        visible_rows=5,
        all_rows=5,
        size_mb=1,
        created=now - timedelta(days=300),
        modified=now - timedelta(days=100),
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
    """Tables for ``Shop.bulk_relations``."""
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
    """Queries for ``Shop.bulk_queries`` over half a day. The texts of the first ``long_ones`` have 40 segments."""
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
    """A statement whose text segments sometimes end in spaces or in the middle of an escaped newline."""
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
        9018,
        LOADER,
        DEV,
        "INSERT",
        "INSERT INTO customers (customer_id) SELECT order_id FROM orders",
        at + 5 * minute,
        1,
        session_id=15,
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
        extra={"query_label": "push-ingestion"},
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
