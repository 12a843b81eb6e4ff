"""Pushing: sends a manifest to Monte Carlo's ingestion API."""

import logging

# On import, pycarlo warns about defaults in its own schema, which users cannot change. Push scripts import this package
# before pycarlo.
logging.getLogger("pycarlo.lib.types").setLevel(logging.ERROR)
