# Shared by all template folders; the source is scripts/templates/_shared/collect_and_push_metadata.py.
# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "redshift-connector>=2.2,<3",
#     "boto3>=1.42,<2",
#     "tqdm>=4.67,<5",
#     "psutil>=7,<8",
#     "filelock>=3.21,<4",
#     "pycarlo>=0.15.500,<0.16",
#     "tenacity>=9.1,<10",
# ]
# ///
"""Collect metadata and push it to Monte Carlo in one run: the script for a scheduler.

From the warehouse, through a manifest in between, to the ingestion API. What an earlier run could not push goes
first; with --state the next window starts only after everything of this one was accepted.
"""

from __future__ import annotations

import sys

from collect_metadata import COLLECTOR
from mcpush.push.run import run_collect_and_push
from push_metadata import PUSHER

if __name__ == "__main__":
    sys.exit(run_collect_and_push(COLLECTOR, PUSHER))
