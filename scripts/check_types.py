"""Checks the types of all code with mypy (strict) and with pyright, as editors do.

mypy runs once for each template folder, because the folders have modules with the same names (connection, catalog, …).
Exits with 1 if a check fails or if there is no template folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from folders import bundle

ROOT = Path(__file__).resolve().parents[1]


def run(what: str, folder: Path, module: str, *arguments: str, search: str = "") -> bool:
    print(f"types: {what}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ | {"MYPYPATH": search}, check=False).returncode == 0


def mypy(what: str, folder: Path, *targets: str, search: str = "") -> bool:
    cache = ROOT / ".mypy_cache" / what
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary", "--cache-dir", str(cache)]
    return run(f"mypy, {what}", folder, "mypy", *options, *targets, search=search)


def main() -> int:
    folders = bundle.warehouses()
    if not folders:
        print("no template folder found", file=sys.stderr)
        return 1
    tools = sorted(path.name for path in bundle.SCRIPTS.glob("*.py"))
    clean = [mypy("library and tools", bundle.SCRIPTS, "mcpush", "folders", *tools)]
    clean += [mypy(folder.name, folder, ".") for folder in folders]
    clean.append(mypy("sandbox", bundle.SCRIPTS / "sandbox", "."))
    # Benchmarks and fixtures import push scripts, which are the same in every folder that has them.
    search = os.pathsep.join(map(str, (bundle.SCRIPTS, bundle.TEMPLATES / "_shared")))
    clean.append(mypy("tests", ROOT, "tests", "benchmarks", search=search))
    clean.append(run("pyright", ROOT, "basedpyright", "--level", "error", "--pythonpath", sys.executable))
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
