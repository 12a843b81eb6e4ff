# Shared by all template folders; the source is scripts/templates/_shared/collect_and_push_metadata.py.
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "pyhive[hive-pure-sasl]>=0.7,<0.8",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
#     "pycarlo>=0.15.500,<0.16",
#     "tenacity>=9.1,<10",
# ]
# ///
"""Collect metadata and push it to Monte Carlo in one run, for a scheduler.

Collects from the warehouse into a manifest and pushes that to the ingestion API. Pushes the rest of an earlier run
first. With --state, the next window starts only after everything in this one has been accepted.
"""

from __future__ import annotations

import sys

from collect_metadata import COLLECTOR
from mcpush.push.run import run_collect_and_push
from push_metadata import PUSHER

if __name__ == "__main__":
    sys.exit(run_collect_and_push(COLLECTOR, PUSHER))
