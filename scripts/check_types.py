"""Type-check everything, strictly: each template folder by itself, then the rest.

The folders hold modules of the same names (connection, pushkit, …), so one run over all of them is not possible.
Exits 1 when a run finds something or there is no folder to look at.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def mypy(folder: Path, *targets: str, search: str = ".") -> bool:
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    cache = ROOT / ".mypy_cache" / folder.name
    print(f"types: {folder.relative_to(ROOT) if folder != ROOT else 'the rest'}", file=sys.stderr, flush=True)
    result = subprocess.run(
        [*command, "--no-error-summary", "--cache-dir", str(cache), *targets],
        cwd=folder,
        env=os.environ | {"MYPYPATH": search},
        check=False,
    )
    return result.returncode == 0


def main() -> int:
    folders = sorted(path.parent for path in (ROOT / "scripts/templates").glob("*/collect_metadata.py"))
    if not folders:
        print("no template folder found", file=sys.stderr)
        return 1
    clean = [mypy(folder, ".") for folder in folders]
    clean.append(mypy(ROOT / "scripts/sandbox", "."))
    rest = ["scripts/sync_templates.py", "scripts/check_types.py", "tests", "benchmarks"]
    clean.append(mypy(ROOT, *rest, search=f".{os.pathsep}scripts/templates/snowflake"))
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
