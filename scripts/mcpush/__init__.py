"""The library behind every template folder: manifest, delivery, command line, SQL lineage.

Nothing in here imports a warehouse driver or pycarlo. Modules import each other by full name and nothing from
this file: in the bundle's own template folders a stub takes its place (``templates/<warehouse>/mcpush.py``).
"""
