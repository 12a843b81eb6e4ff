"""The demo shop: a realistic Snowflake account, written to the test server's system views.

From a seed and a time, creates databases, more than 200 tables and views of every kind, and a day of query history with
matching ACCESS_HISTORY, dependencies and tags. The same seed and time give the same shop. Returns the truth
(``shop_model.Shop``) of the written data, for tests to compare with. Needs a running ``EmbeddedSnowflake``.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from tests.warehouses.snowflake.launch import EmbeddedSnowflake
from tests.warehouses.snowflake.shop_facts import write_shop
from tests.warehouses.snowflake.shop_model import (
    Column,
    ColumnFlow,
    LoggedQuery,
    Name,
    Relation,
    Shop,
    Tag,
    Write,
    columns,
    spelled,
)

DATABASES = {
    "ANALYTICS": "STANDARD",
    "EMPTY": "STANDARD",
    "Marketing-EU": "STANDARD",
    "PARTNER_SHARE": "IMPORTED DATABASE",
    "RAW": "STANDARD",
    "SNOWFLAKE": "APPLICATION",
    "SNOWFLAKE_SAMPLE_DATA": "IMPORTED DATABASE",
}

DOTTED_NAME: Name = ("Marketing-EU", "Kampagnen 2026", 'Umsatz.nach "Region" (€)')
"""A name with a dot, quotes, spaces, and a non-ASCII character."""

SOURCES = ["SHOP", "POS", "CRM", "ERP", "WEB", "SUPPORT", "LOYALTY"]

ENTITIES: dict[str, tuple[Column, ...]] = {
    "CUSTOMERS": columns(
        "CUSTOMER_ID INT -- Primary key",
        "EMAIL VARCHAR(320) -- As typed in, not verified",
        "FULL_NAME TEXT",
        "COUNTRY VARCHAR(2)",
        "CREATED_AT TIMESTAMP_NTZ",
        "PROFILE VARIANT",
    ),
    "ORDERS": columns(
        "ORDER_ID INT -- Primary key",
        "CUSTOMER_ID INT",
        "STATUS VARCHAR(20)",
        "TOTAL NUMBER(12,2) -- In the order's own currency",
        "CURRENCY VARCHAR(3)",
        "ORDERED_AT TIMESTAMP_NTZ",
    ),
    "ORDER_ITEMS": columns("ORDER_ID INT", "LINE INT", "SKU VARCHAR(40)", "QUANTITY NUMBER(9,0)", "PRICE NUMBER(12,4)"),
    "PRODUCTS": columns("SKU VARCHAR(40)", "TITLE TEXT", "ATTRIBUTES OBJECT", "TAGS ARRAY", "WEIGHT FLOAT"),
    "PAYMENTS": columns("PAYMENT_ID INT", "ORDER_ID INT", "AMOUNT NUMBER(12,2)", "METHOD TEXT", "PAID_AT TIMESTAMP_TZ"),
    "SHIPMENTS": columns("SHIPMENT_ID INT", "ORDER_ID INT", "CARRIER TEXT", "SHIPPED_ON DATE", "LABEL BINARY"),
    "RETURNS": columns("RETURN_ID INT", "ORDER_ID INT", "REASON TEXT", "ACCEPTED BOOLEAN", "RETURNED_ON DATE"),
    "INVENTORY": columns("SKU VARCHAR(40)", "STORE_ID INT", "ON_HAND NUMBER(18,3)", "COUNTED_AT TIMESTAMP_LTZ"),
    "STORES": columns("STORE_ID INT", "CITY TEXT", "LOCATION GEOGRAPHY", "OPENS TIME"),
    "EVENTS": columns("EVENT_ID VARCHAR(36)", "SESSION_ID VARCHAR(36)", "PAYLOAD VARIANT", "AT TIMESTAMP_NTZ(3)"),
    "TICKETS": columns("TICKET_ID INT", "CUSTOMER_ID INT", "SUBJECT TEXT", "OPENED_AT TIMESTAMP_NTZ"),
    "EMPLOYEES": columns("EMPLOYEE_ID INT", "NAME TEXT", "SALARY NUMBER(10,2)", "HIRED_ON DATE"),
}

RAW_KINDS = {"EVENTS": "transient table", "INVENTORY": "hybrid table", "PRODUCTS": "iceberg table"}

MARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "DAILY_REVENUE": ("dynamic table", ("ORDERS", "PAYMENTS")),
    "CUSTOMER_360": ("dynamic table", ("CUSTOMERS", "ORDERS", "TICKETS")),
    "STOCK_ALERTS": ("dynamic table", ("INVENTORY", "PRODUCTS")),
    "RETURN_RATES": ("dynamic table", ("RETURNS", "ORDERS")),
    "STORE_RANKING": ("view", ("STORES", "ORDERS")),
    "OPEN_TICKETS": ("view", ("TICKETS", "CUSTOMERS")),
    "PAYROLL": ("secure view", ("EMPLOYEES",)),
    "CUSTOMER_CONTACTS": ("secure view", ("CUSTOMERS",)),
}

WRITERS = [("DBT_SVC", "TRANSFORMER", "ETL_WH"), ("ETL_SVC", "LOADER", "ETL_WH")]
READERS = [
    ("ana.müller@example.com", "REPORTER", "BI_WH"),
    ("BI_SVC", "REPORTER", "BI_WH"),
    ("JSMITH", "ANALYST", "BI_WH"),
]


def open_shop(server: EmbeddedSnowflake, now: datetime | None = None, seed: int = 20_26) -> Shop:
    """Fill ``server`` with the shop as of ``now`` (default: the current time) and return the written data."""
    now = (now or datetime.now(timezone.utc)).replace(microsecond=0)
    shop = build_shop(now, seed)
    server.reset()
    write_shop(server, shop)
    return shop


def build_shop(now: datetime, seed: int = 20_26) -> Shop:
    """Create the shop in Python, without a server."""
    chance = random.Random(seed)
    shop = Shop(now, dict(DATABASES))
    relations = [*_raw(), *_staging(), *_core(), *_marts(), *_marketing(), *_shared()]
    for number, relation in enumerate(relations, 1001):
        dated = _with_times(replace(relation, object_id=number), now, chance)
        shop.relations[dated.name] = dated
    shop.queries = sorted(_Day(shop, chance).queries(), key=lambda query: (query.start, query.query_id))
    return shop


# ---------------------------------------------------------------------- tables and views


def _relation(name: Name, kind: str, of: tuple[Column, ...], **more: object) -> Relation:
    never = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return Relation(name, kind, of, never, never, **more)  # type: ignore[arg-type]


def _with_times(relation: Relation, now: datetime, chance: random.Random) -> Relation:
    created = now - timedelta(days=chance.randint(60, 900), seconds=chance.randint(0, 86_399))
    if relation.kind in ("view", "secure view"):
        return replace(relation, created=created, last_altered=created)
    altered = now - timedelta(minutes=chance.randint(5, 60 * 30), milliseconds=chance.randint(0, 999))
    if relation.kind == "external table":  # documented: no row count
        return replace(relation, created=created, last_altered=altered)
    rows = 0 if chance.random() < 0.05 else chance.randint(1, 50_000_000)
    size = rows * chance.randint(20, 400)
    return replace(relation, created=created, last_altered=altered, row_count=rows, byte_count=size)


def _raw() -> Iterable[Relation]:
    for source in SOURCES:
        for entity, of in ENTITIES.items():
            tags: tuple[Tag, ...] = (Tag("COST_CENTER", source),)
            if entity == "CUSTOMERS":
                tags += (Tag("PII", "email", "EMAIL"), Tag("PII", "name", "FULL_NAME"))
            yield _relation(
                ("RAW", source, entity),
                RAW_KINDS.get(entity, "table"),
                of,
                comment=f"{entity.replace('_', ' ').capitalize()} as {source} delivers them"
                if entity != "EVENTS"
                else None,
                tags=tags,
            )
    for feed in ("ADS_CLICKS", "WEATHER"):
        of = columns("VALUE VARIANT -- The file's row", "DAY DATE", "CLICKS NUMBER(38,0)")
        yield _relation(("RAW", "LAKE", feed), "external table", of, comment="Files of the lake")


def _staging() -> Iterable[Relation]:
    """A view for each raw table. Some have their text as CREATE VIEW, others as the bare query."""
    for source in SOURCES:
        for entity, of in ENTITIES.items():
            raw: Name = ("RAW", source, entity)
            name: Name = ("ANALYTICS", f"STG_{source}", f"STG_{entity}")
            query = f"SELECT {', '.join(column.name for column in of)} FROM {spelled(raw)}"
            text = query if entity == "STORES" else f"CREATE OR REPLACE VIEW {spelled(name)} AS\n{query};"
            yield _relation(name, "view", of, definition=text, sources=(raw,))


def _core() -> Iterable[Relation]:
    for entity, of in ENTITIES.items():
        for prefix in ("DIM", "FCT"):
            loaded = (*of, Column("_LOADED_AT", "TIMESTAMP_LTZ(9)"))
            yield _relation(("ANALYTICS", "CORE", f"{prefix}_{entity}"), "table", loaded, tags=(Tag("TIER", "gold"),))


def _marts() -> Iterable[Relation]:
    for name, (kind, entities) in MARTS.items():
        sources: tuple[Name, ...] = tuple(("ANALYTICS", "CORE", f"DIM_{entity}") for entity in entities)
        of = columns(*(f"{entity}_KEY INT" for entity in entities), "AMOUNT NUMBER(18,2)", "AS_OF DATE")
        full: Name = ("ANALYTICS", "MARTS", name)
        command = {"dynamic table": "DYNAMIC TABLE", "view": "VIEW", "secure view": "SECURE VIEW"}[kind]
        lag = " TARGET_LAG = '1 hour' WAREHOUSE = ETL_WH" if kind == "dynamic table" else ""
        joined = " CROSS JOIN ".join(spelled(source) for source in sources)
        text = f"CREATE OR REPLACE {command} {spelled(full)}{lag} AS SELECT 1 AS AMOUNT FROM {joined}"
        yield _relation(full, kind, of, definition=text, sources=sources, comment=f"{name.title()} for the dashboards")
    for entity in ("ORDERS", "PAYMENTS", "EVENTS", "RETURNS"):
        raw: Name = ("RAW", "SHOP", entity)
        full = ("ANALYTICS", "MARTS", f"MV_{entity}")
        text = f"CREATE OR REPLACE MATERIALIZED VIEW {spelled(full)} AS SELECT COUNT(*) AS N FROM {spelled(raw)}"
        yield _relation(full, "materialized view", columns("N INT"), definition=text, sources=(raw,))


def _marketing() -> Iterable[Relation]:
    schema = "Kampagnen 2026"
    yield _relation(
        DOTTED_NAME,
        "table",
        columns("Region.Name TEXT -- with a dot", 'Umsatz "netto" NUMBER(14,2)', "größe NUMBER(5,0)", "日付 DATE"),
        comment="Umsätze je Region, „netto“",
        tags=(Tag("Kostenstelle", "Köln"),),
    )
    clicks: Name = ("Marketing-EU", schema, "clickStream")
    yield _relation(clicks, "table", columns("userId VARCHAR(64)", "USERID VARCHAR(64)", "url TEXT", "at TIMESTAMP_TZ"))
    yield _relation(("Marketing-EU", schema, "CLICKSTREAM"), "table", columns("USER_ID VARCHAR(64)", "URL TEXT"))
    yield _relation(("Marketing-EU", schema, "表_Ünïcode"), "table", columns("名前 TEXT", "数 INT"))
    yield _relation(("Marketing-EU", schema, "select"), "table", columns("from TEXT", "order INT"))
    view: Name = ("Marketing-EU", "PUBLIC", "click view; --")
    text = f'CREATE VIEW {spelled(view)} AS SELECT "userId", "url" FROM {spelled(clicks)}'
    yield _relation(
        view, "view", columns("userId VARCHAR(64)", "url TEXT"), definition=text, sources=(clicks,), comment="O'Brien's"
    )


def _shared() -> Iterable[Relation]:
    for name in ("PRICES", "HOLIDAYS", "POSTCODES"):
        of = columns("CODE TEXT", "VALUE NUMBER(18,4)", "VALID_FROM DATE")
        yield _relation(("PARTNER_SHARE", "PUBLIC", name), "table", of)
    for name in ("CUSTOMER", "LINEITEM", "NATION", "ORDERS", "PART", "PARTSUPP", "REGION", "SUPPLIER"):
        of = columns(f"{name[0]}_KEY INT", f"{name[0]}_COMMENT VARCHAR(152)")
        yield _relation(("SNOWFLAKE_SAMPLE_DATA", "TPCH_SF1", name), "table", of)


# ---------------------------------------------------------------------- a day of queries


@dataclass
class _Day:
    """Creates the last 24 hours of the shop's query history, up to ten minutes ago."""

    shop: Shop
    chance: random.Random

    def queries(self) -> Iterable[LoggedQuery]:
        for hour in range(24):
            yield from self._loads(hour)
            yield from self._transformations(hour)
            yield from self._refreshes(hour)
        yield from self._reading(2_600)
        yield from self._failures(60)
        yield from self._oddities()

    def _at(self, hour: float) -> datetime:
        """A random time within ``hour`` of the day that ends now, but not in the last ten minutes."""
        at = (
            self.shop.now
            - timedelta(hours=24)
            + timedelta(hours=hour, microseconds=self.chance.randint(0, 3_599_999_999))
        )
        latest = self.shop.now - timedelta(minutes=10, microseconds=self.chance.randint(0, 59_999_999))
        return min(at, latest)

    def _query(self, hour: float, who: tuple[str, str, str], text: str, kind: str, **more: object) -> LoggedQuery:
        user, role, warehouse = who
        start = self._at(hour)
        fields: dict[str, object] = {
            "query_id": str(uuid.UUID(int=self.chance.getrandbits(128), version=4)),
            "text": text,
            "kind": kind,
            "user": user,
            "role": role,
            "warehouse": warehouse,
            "start": start,
            "end": start + timedelta(milliseconds=self.chance.randint(20, 90_000)),
            "rows_produced": self.chance.randint(0, 100_000),
            "bytes_scanned": self.chance.randint(0, 10**10),
            "database": "ANALYTICS",
            "schema": "CORE",
        }
        return LoggedQuery(**{**fields, **more})  # type: ignore[arg-type]

    def _loads(self, hour: int) -> Iterable[LoggedQuery]:
        """COPY from a stage: writes rows, but no column of a table is their source."""
        for source in SOURCES:
            for entity in ("ORDERS", "PAYMENTS", "EVENTS"):
                target: Name = ("RAW", source, entity)
                text = f"COPY INTO {spelled(target)} FROM @RAW.{source}.LANDING/{entity.lower()}/{hour:02}/"
                flows = tuple(ColumnFlow(column.name, ()) for column in self.shop.relations[target].columns)
                yield self._query(
                    hour, WRITERS[1], text, "COPY", write=Write(target, flows), database="RAW", schema=source
                )

    def _transformations(self, hour: int) -> Iterable[LoggedQuery]:
        """MERGE, CTAS and INSERT from the staging views: direct sources are views, base sources are raw tables."""
        for number, entity in enumerate(ENTITIES):
            source_system = SOURCES[(hour + number) % len(SOURCES)]
            view: Name = ("ANALYTICS", f"STG_{source_system}", f"STG_{entity}")
            raw: Name = ("RAW", source_system, entity)
            names = [column.name for column in ENTITIES[entity]]
            flows = tuple(ColumnFlow(name, ((view, name),), ((raw, name),)) for name in names)
            for prefix in ("DIM", "FCT"):
                target: Name = ("ANALYTICS", "CORE", f"{prefix}_{entity}")
                kind, text = _transformation(prefix, hour, target, view, names)
                write = Write(target, (*flows, ColumnFlow("_LOADED_AT", ())))
                tag = f'{{"app": "dbt", "node_id": "model.shop.{target[2].lower()}"}}'
                yield self._query(hour, WRITERS[0], text, kind, write=write, reads=(view,), query_tag=tag)

    def _refreshes(self, hour: int) -> Iterable[LoggedQuery]:
        """Refreshes of dynamic tables, run by the service itself. Their lineage is in their texts."""
        for name, (kind, _) in MARTS.items():
            if kind == "dynamic table":
                text = f"ALTER DYNAMIC TABLE ANALYTICS.MARTS.{name} REFRESH"
                who = ("SYSTEM", "TRANSFORMER", "ETL_WH")
                yield self._query(hour, who, text, "ALTER", schema="MARTS")

    def _reading(self, count: int) -> Iterable[LoggedQuery]:
        readable = [r for r in self.shop.own() if r.name[1] in ("CORE", "MARTS", "Kampagnen 2026")]
        for _ in range(count):
            relation = self.chance.choice(readable)
            column = self.chance.choice(relation.columns).name
            text = (
                f'SELECT "{column.replace(chr(34), chr(34) * 2)}", COUNT(*) AS N FROM {relation.full_name} '
                f"WHERE DAY >= '{self.chance.randint(2020, 2026)}-01-01' GROUP BY 1 ORDER BY 2 DESC LIMIT 100"
            )
            hour = self.chance.uniform(0, 23)
            yield self._query(hour, self.chance.choice(READERS), text, "SELECT", reads=(relation.name,))

    def _failures(self, count: int) -> Iterable[LoggedQuery]:
        causes = [
            (2003, "SQL compilation error:\nObject 'ANALYTICS.CORE.DIM_GONE' does not exist or not authorized."),
            (904, "SQL compilation error: error line 1 at position 7\ninvalid identifier 'CUSTOMR_ID'"),
            (604, "SQL execution canceled"),
            (100038, "Numeric value 'n/a' is not recognized"),
        ]
        for number in range(count):
            code, message = causes[number % len(causes)]
            text = f"INSERT INTO ANALYTICS.CORE.FCT_ORDERS SELECT CUSTOMR_ID FROM ANALYTICS.CORE.DIM_GONE -- {number}"
            kind = "UNKNOWN" if code in (2003, 904) else "INSERT"
            hour = self.chance.uniform(0, 23)
            yield self._query(hour, READERS[2], text, kind, error_code=code, error_message=message, rows_produced=None)

    def _oddities(self) -> Iterable[LoggedQuery]:
        """Edge cases: texts at the limit, running queries, truncated records, unusual names, tables that update
        themselves.
        """
        for hour in (3, 9, 15):
            text = ("SELECT 'ä', " * 20_000 + "1")[:100_000]  # the documented limit in characters; more in bytes
            yield self._query(hour, READERS[1], text, "SELECT")
        for minutes in (15, 60, 70, 300, 900):
            running = self._query(0, READERS[1], f"CALL LONG_RUNNING({minutes})", "CALL", rows_produced=None)
            yield replace(running, start=self.shop.now - timedelta(minutes=minutes), end=None)
        clicks: Name = ("Marketing-EU", "Kampagnen 2026", "clickStream")
        region = ColumnFlow("Region.Name", ((clicks, "url"),), ((clicks, "url"),))
        text = f'INSERT INTO {spelled(DOTTED_NAME)} ("Region.Name") SELECT "url" FROM {spelled(clicks)}'
        yield self._query(2, WRITERS[0], text, "INSERT", write=Write(DOTTED_NAME, (region,)), reads=(clicks,))
        orders: Name = ("ANALYTICS", "CORE", "FCT_ORDERS")
        total = ColumnFlow("TOTAL", ((orders, "TOTAL"),), ((orders, "TOTAL"),))
        text = f"UPDATE {spelled(orders)} SET TOTAL = TOTAL * 1.1"
        yield self._query(4, WRITERS[0], text, "UPDATE", write=Write(orders, (total,)), reads=(orders,))
        for hour in (5, 6):
            cut = self._query(hour, WRITERS[0], f"MERGE INTO {spelled(orders)} USING WIDE_{hour}", "MERGE")
            self.shop.truncated_query_ids.add(cut.query_id)
            yield replace(cut, write=Write(orders, (ColumnFlow("ORDER_ID", ()),)))
        yield self._query(7, ("SYSTEM", "", ""), "", "UNKNOWN", warehouse=None, database=None, schema=None)


def _transformation(prefix: str, hour: int, target: Name, view: Name, names: list[str]) -> tuple[str, str]:
    listed = ", ".join(names)
    into, source = spelled(target), spelled(view)
    if prefix == "FCT":
        return "INSERT", f"INSERT INTO {into} ({listed}, _LOADED_AT) SELECT {listed}, CURRENT_TIMESTAMP() FROM {source}"
    if hour == 0:
        return (
            "CREATE_TABLE_AS_SELECT",
            f"CREATE OR REPLACE TABLE {into} AS SELECT {listed}, CURRENT_TIMESTAMP() AS _LOADED_AT FROM {source}",
        )
    key, *others = names
    changes = ", ".join(f"T.{name} = S.{name}" for name in others)
    values = ", ".join(f"S.{name}" for name in names)
    return "MERGE", (
        f"MERGE INTO {into} AS T USING {source} AS S ON T.{key} = S.{key}\n"
        f"WHEN MATCHED THEN UPDATE SET {changes}, T._LOADED_AT = CURRENT_TIMESTAMP()\n"
        f"WHEN NOT MATCHED THEN INSERT ({listed}, _LOADED_AT) VALUES ({values}, CURRENT_TIMESTAMP())"
    )
