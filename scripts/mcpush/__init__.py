"""The library that every template folder uses: manifest, delivery, command line, SQL lineage.

Only ``push`` imports pycarlo, and no module imports a warehouse driver. Modules import each other by full name and
import nothing from this file: the bundle's template folders have a stub instead (``templates/<warehouse>/mcpush.py``).
"""
