# Shared by all template folders; the source is scripts/templates/_shared/collect_and_push_lineage.py.
# /// script
# requires-python = ">=3.10"
# dependencies = [] # those of the collect script and the push script, written by scripts/sync_templates.py
# ///
"""Collect lineage and push it to Monte Carlo in one run: the script for a scheduler.

From the warehouse, through a manifest in between, to the ingestion API. What an earlier run could not push goes
first; with --state the next window starts only after everything of this one was accepted.
"""

from __future__ import annotations

import sys

from collect_lineage import COLLECTOR
from mcpush.push.run import run_collect_and_push
from push_lineage import PUSHER

if __name__ == "__main__":
    sys.exit(run_collect_and_push(COLLECTOR, PUSHER))
