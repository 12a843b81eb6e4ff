"""What every script of this folder shares: manifest, delivery, command line, SQL lineage.

Original: snowflake/pushkit. The other warehouses' folders hold identical copies (sync_templates.py).
Nothing in here imports a warehouse driver or pycarlo.
"""

VERSION = "0.1.0"
