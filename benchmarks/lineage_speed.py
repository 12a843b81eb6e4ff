"""Measures the speed of lineage extraction, as ratios within one run, so the machine hardly matters.

    python benchmarks/lineage_speed.py

Measures, with the project's bounds:

- tables and columns, compared with `sqlglot.parse_one` alone on the same statements (at least 0.2)
- a log with 95 % repeats and the fingerprint cache, compared with the same engine without repeats (at least 8)
- the memory growth over a log of many statements, after its first tenth (at most 64 MB)

The statements are generated: typical ETL (CTAS, INSERT, MERGE, views, windows, CTEs) and analytical queries in the style
of TPC-DS. Exits with 1 if a bound is missed.
"""

# ruff: noqa: E501  generated statements are easier to read if clauses are not split
from __future__ import annotations

import argparse
import logging
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import psutil
import sqlglot
import sqlglot.parser

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

from mcpush.lineage.query_log import LineageLog  # noqa: E402
from mcpush.sql import Defaults, Schema, TableName, extract  # noqa: E402

DIALECT = "snowflake"
DEFAULTS = Defaults("SHOP", "MART")
MIN_EXTRACTION = 0.2
MIN_CACHED = 8.0
REPEATED_SHARE = 0.95
MAX_GROWTH_MB = 64

AREAS = ("orders", "customers", "payments", "shipments", "returns", "stock", "prices", "sessions")
COLUMNS = tuple(
    f"{stem}_{kind}" for stem in ("order", "customer", "net", "tax", "ship") for kind in ("id", "at", "amt")
)


def etl(seed: int) -> str:
    """One ETL statement. Seeds with the same remainder give the same form with different names."""
    pick = random.Random(seed)
    area, other = pick.sample(AREAS, 2)
    key = pick.choice(COLUMNS)
    chosen = pick.sample(COLUMNS, 9)
    day = f"2026-{1 + seed % 12:02d}-{1 + seed % 28:02d}"
    forms: tuple[Callable[[], str], ...] = (
        lambda: (
            f"CREATE OR REPLACE TABLE mart.{area}_daily_{seed} AS WITH base AS (SELECT {', '.join(chosen)} FROM raw.{area} "
            f"WHERE load_date = '{day}'), ranked AS (SELECT base.*, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY "
            f"{chosen[0]} DESC) AS rn FROM base) SELECT r.{chosen[1]}, r.{chosen[2]}, COALESCE(o.{chosen[3]}, 0) AS amount, "
            f"CASE WHEN r.{chosen[4]} > 100 THEN 'large' ELSE 'small' END AS size FROM ranked r LEFT JOIN raw.{other} o "
            f"ON r.{key} = o.{key} WHERE r.rn = 1"
        ),
        lambda: (
            f"INSERT INTO mart.{area}_fact_{seed} ({', '.join(chosen[:5])}) SELECT "
            + ", ".join(f"SUM(a.{name}) AS {name}" for name in chosen[:4])
            + f", MAX(b.{chosen[5]}) FROM raw.{area} a JOIN raw.{other} b ON a.{key} = b.{key} WHERE a.load_date >= "
            f"'{day}' AND b.region IN ('eu', 'us', 'apac') GROUP BY a.{key} HAVING COUNT(*) > {seed}"
        ),
        lambda: (
            f"MERGE INTO mart.{area}_dim_{seed} t USING (SELECT {', '.join(chosen[:6])} FROM stage.{area} WHERE batch = "
            f"{seed}) s ON t.{chosen[0]} = s.{chosen[0]} WHEN MATCHED AND s.{chosen[1]} > t.{chosen[1]} THEN UPDATE SET "
            + ", ".join(f"{name} = s.{name}" for name in chosen[1:6])
            + f" WHEN NOT MATCHED THEN INSERT ({', '.join(chosen[:6])}) VALUES ("
            + ", ".join(f"s.{name}" for name in chosen[:6])
            + ")"
        ),
        lambda: (
            f"CREATE OR REPLACE VIEW mart.v_{area}_{seed} AS SELECT x.{chosen[0]}, x.total / NULLIF(y.total, 0) AS share "
            f"FROM (SELECT {chosen[0]}, SUM({chosen[1]}) AS total FROM raw.{area} GROUP BY 1) x JOIN (SELECT {chosen[0]}, "
            f"SUM({chosen[2]}) AS total FROM raw.{other} GROUP BY 1) y USING ({chosen[0]}) UNION ALL SELECT "
            f"{chosen[0]}, 0 FROM archive.{area}"
        ),
    )
    return forms[seed % len(forms)]()


def analytical(seed: int) -> str:
    """A long query: many CTEs, joins, correlated filters and set operations."""
    pick = random.Random(seed)
    areas = pick.sample(AREAS, 5)
    parts = []
    for number, area in enumerate(areas):
        chosen = pick.sample(COLUMNS, 6)
        parts.append(
            f"c{number} AS (SELECT d.year_no, s.{chosen[0]} AS k, SUM(CASE WHEN s.{chosen[1]} > {seed} THEN s.{chosen[2]} "
            f"ELSE 0 END) AS v, AVG(s.{chosen[3]}) OVER (PARTITION BY d.year_no ORDER BY s.{chosen[4]} ROWS BETWEEN 3 "
            f"PRECEDING AND CURRENT ROW) AS avg_v FROM raw.{area} s, raw.dates d, raw.stores st WHERE s.date_id = d.id AND "
            f"s.store_id = st.id AND d.year_no BETWEEN 2020 AND 2026 AND s.{chosen[5]} > (SELECT AVG({chosen[5]}) * 1.2 "
            f"FROM raw.{area} i WHERE i.store_id = s.store_id) GROUP BY d.year_no, s.{chosen[0]})"
        )
    body = " UNION ALL ".join(f"SELECT year_no, k, v, avg_v, {n} AS src FROM c{n}" for n in range(len(areas)))
    return (
        f"CREATE TABLE mart.report_{seed} AS WITH {', '.join(parts)}, allof AS ({body}) SELECT a.year_no, a.k, a.v, b.v "
        "AS previous, a.v - b.v AS delta, RANK() OVER (PARTITION BY a.src ORDER BY a.v DESC) AS place FROM allof a LEFT "
        "JOIN allof b ON a.k = b.k AND a.year_no = b.year_no + 1 WHERE a.k IN (SELECT k FROM c0 INTERSECT SELECT k FROM c1) "
        "ORDER BY 1, 2 LIMIT 100"
    )


def catalog() -> Schema:
    schema = Schema()
    for area in AREAS:
        for name in ("RAW", "STAGE", "ARCHIVE"):
            schema.add(TableName("SHOP", name, area.upper()), [column.upper() for column in COLUMNS])
    return schema


def rate(work: Callable[[str], object], statements: Sequence[str]) -> float:
    """Statements per second, the best of three rounds."""
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        for statement in statements:
            work(statement)
        best = max(best, len(statements) / (time.perf_counter() - start))
    return best


def extraction_ratio(name: str, statements: Sequence[str], schema: Schema) -> float:
    parsing = rate(lambda text: sqlglot.parse_one(text, read=DIALECT), statements)
    whole = rate(lambda text: extract(text, DIALECT, DEFAULTS, schema), statements)
    print(f"{name:12s} parse_one {parsing:7.0f}/s   tables and columns {whole:7.0f}/s   ratio {whole / parsing:.2f}")
    return whole / parsing


def log_rate(statements: Sequence[str], schema: Schema, workers: int) -> float:
    with LineageLog(DIALECT, schema=schema, workers=workers) as log:
        log.add("SELECT 1", defaults=DEFAULTS)
        log.flush()  # waits until the workers have started
        start = time.perf_counter()
        for statement in statements:
            log.add(statement, defaults=DEFAULTS)
        log.flush()
        return len(statements) / (time.perf_counter() - start)


def repeated(count: int) -> list[str]:
    """A log in which 95 of 100 statements repeat an earlier one, possibly with other literals."""
    pick = random.Random(7)
    distinct = [etl(seed) for seed in range(max(1, round(count * (1 - REPEATED_SHARE))))]
    rest = [pick.choice(distinct) for _ in range(count - len(distinct))]
    dated = [text.replace("2026-", f"{2000 + pick.randrange(26)}-") for text in rest]
    log = distinct + dated
    pick.shuffle(log)
    return log


def cached_ratio(schema: Schema, count: int) -> float:
    uncached = log_rate([etl(seed) for seed in range(count // 10)], schema, workers=0)
    cached = log_rate(repeated(count), schema, workers=0)
    print(f"{'95% repeats':12s} uncached {uncached:7.0f}/s   cached {cached:7.0f}/s   ratio {cached / uncached:.1f}")
    return cached / uncached


def cores_used(schema: Schema) -> None:
    statements = [etl(seed) for seed in range(6000)]
    one = log_rate(statements, schema, workers=1)
    every = log_rate(
        statements, schema, workers=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    )
    print(f"{'workers':12s} one {one:7.0f}/s   one for each core {every:7.0f}/s   ratio {every / one:.2f}")


def memory_growth(schema: Schema, count: int) -> float:
    """Growth of this process in megabytes over a log of `count` statements, after the first tenth."""
    process = psutil.Process()
    distinct = [etl(seed) for seed in range(500)]
    with LineageLog(DIALECT, schema=schema, workers=1) as log:
        before = 0
        for number in range(count):
            text = distinct[number % len(distinct)].replace("2026-", f"{number}-")
            log.add(text, session=str(number // 50), defaults=DEFAULTS)
            if number == count // 10:
                log.flush()
                before = process.memory_info().rss
        log.flush()
        growth = (process.memory_info().rss - before) / 1e6
    print(f"{'memory':12s} {count} statements, {log.distinct} distinct: grew by {growth:.0f} MB after the first tenth")
    return growth


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text("utf-8").splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {platform.python_version()}, "
        f"sqlglot {version('sqlglot')}{' (compiled)' if sqlglot.parser.__file__.endswith(('.so', '.pyd')) else ''}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure lineage extraction as ratios in one run.")
    parser.add_argument("--log", type=int, default=40_000, help="statements in the log of repeats")
    parser.add_argument("--memory-log", type=int, default=200_000, help="statements in the memory log; 0 skips it")
    options = parser.parse_args()
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    print(machine())
    schema = catalog()
    ratios = [
        extraction_ratio("ETL", [etl(seed) for seed in range(800)], schema),
        extraction_ratio("analytical", [analytical(seed) for seed in range(60)], schema),
    ]
    cached = cached_ratio(schema, options.log)
    cores_used(schema)
    growth = memory_growth(schema, options.memory_log) if options.memory_log else 0.0
    met = min(ratios) >= MIN_EXTRACTION and cached >= MIN_CACHED and growth <= MAX_GROWTH_MB
    print("bounds met" if met else "BOUNDS MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
