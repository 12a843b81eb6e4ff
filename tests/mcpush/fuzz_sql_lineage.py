"""Fuzz target: `extract` must process mutated statements quickly and without an exception.

    python tests/mcpush/fuzz_sql_lineage.py --seconds 60 [--seed 7]

Takes statements from the fixtures, truncates, swaps, repeats and splices their words and bytes, and extracts the
lineage of each result in a random dialect. This happens in a worker process, which is replaced when a statement exceeds
its time limit. Prints each failure as one line of JSON, and exits with 1 if a statement raised an exception or crashed
the worker, or if none was processed. Not part of the test suite.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from mcpush.sql import Defaults, extract  # noqa: E402

DIALECTS = ("snowflake", "bigquery", "databricks", "redshift", "hive", "spark", "postgres")
TIME_LIMIT = 10.0  # seconds
WORDS = re.compile(r"\w+|\s+|.", re.DOTALL)  # for mutation only


def corpus() -> list[str]:
    """The statements of the fixtures, without their comment lines."""
    found = []
    for path in sorted((Path(__file__).parent / "fixtures" / "lineage").glob("*.sql")):
        for block in path.read_text(encoding="utf-8").split("\n====\n"):
            found.append("\n".join(line for line in block.splitlines() if not line.startswith("-- ")))
    if not found:
        raise SystemExit("no fixtures to start from")
    return found


def mutated(pick: random.Random, seeds: list[str]) -> str:
    words = WORDS.findall(pick.choice(seeds))
    for _ in range(pick.randint(1, 6)):
        if not words:
            break
        place, other = pick.randrange(len(words)), pick.randrange(len(words))
        match pick.randrange(7):
            case 0:
                del words[place]
            case 1:
                words[place], words[other] = words[other], words[place]
            case 2:
                words[place:place] = words[other : other + pick.randint(1, 8)] * pick.choice((1, 2, 30))
            case 3:
                words[place:] = []
            case 4:
                words[place:place] = WORDS.findall(pick.choice(seeds))[: pick.randint(1, 40)]
            case 5:
                words[place] = pick.choice(
                    ("(", ")", "'", '"', "`", ";", "$$", "/*", "--", ",", ".", "*", "@", "\x00", "é")
                )
            case _:
                words.insert(place, chr(pick.randrange(1, 0x3000)))
    return "".join(words)


def read(jobs: Connection) -> None:
    """The worker process: sends back the exception that each (dialect, text) raised, or an empty string."""
    while True:
        dialect, text = jobs.recv()
        try:
            extract(text, dialect, Defaults("D", "S"), time_limit=TIME_LIMIT)
            jobs.send("")
        except Exception as error:
            jobs.send(f"{type(error).__name__}: {error}")


def start() -> tuple[multiprocessing.Process, Connection]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=read, args=(there,), daemon=True)
    process.start()
    there.close()
    return process, here


def main() -> int:
    parser = argparse.ArgumentParser(description="Process mutated statements and report failures.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    pick, seeds = random.Random(seed), corpus()
    process, jobs = start()
    done = raised = crashed = slow = 0
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        dialect, text = pick.choice(DIALECTS), mutated(pick, seeds)
        jobs.send((dialect, text))
        done += 1
        try:
            problem = jobs.recv() if jobs.poll(TIME_LIMIT + 5) else None
        except EOFError:
            problem, crashed = "the process ended", crashed + 1
        if problem is None or not process.is_alive():
            slow += problem is None
            process.kill()
            process, jobs = start()
        raised += bool(problem)
        if problem or problem is None:
            print(json.dumps({"dialect": dialect, "problem": problem or "too slow", "text": text}))
    process.kill()
    print(f"seed {seed}: {done} statements, {raised} raised, {crashed} crashed, {slow} too slow", file=sys.stderr)
    return 1 if raised or not done else 0


if __name__ == "__main__":
    sys.exit(main())
