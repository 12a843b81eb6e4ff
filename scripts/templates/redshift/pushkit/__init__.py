# Shared: the original is snowflake/pushkit/__init__.py (see scripts/sync_templates.py).
"""What every script of this folder shares: manifest, delivery, command line, SQL lineage.

Nothing in here imports a warehouse driver or pycarlo.
"""

VERSION = "0.1.0"
