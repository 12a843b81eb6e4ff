"""Pushing: from a manifest to Monte Carlo's ingestion API."""

import logging

# While it is imported, pycarlo warns of defaults in its own schema: nothing a reader of the log could act on. Push
# scripts import this package before pycarlo.
logging.getLogger("pycarlo.lib.types").setLevel(logging.ERROR)
