"""``make bench`` runs every benchmark, one after the other. They print ratios within one run, and the machine."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = ("lineage_speed.py", "delivery_speed.py", "sandbox_speed.py")


def main() -> int:
    for name in BENCHMARKS:
        print(f"\n== {name}", flush=True)
        sys.argv = [str(HERE / name)]
        try:
            runpy.run_path(str(HERE / name), run_name="__main__")
        except SystemExit as exit_:
            if exit_.code:
                return int(exit_.code) if isinstance(exit_.code, int) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
