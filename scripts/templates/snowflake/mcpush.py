# Shared by all template folders; the source is scripts/templates/_shared/mcpush.py.
"""Stands in for the library in the bundle's own template folders, where it points to scripts/mcpush.

A copied folder holds the library as the directory ``mcpush/``, which Python prefers to this file. Anywhere else this
file ends the script: it never looks for a library above the folder, where somebody else may have put one.
"""

import sys
from pathlib import Path

_folder = Path(__file__).resolve().parent
_scripts = _folder.parent.parent
_library = _scripts / "mcpush"

if _folder.parent.name == "templates" and (_scripts / "new_push.py").is_file() and (_library / "version.py").is_file():
    __path__ = [str(_library)]
else:
    print(
        f"error: the library is missing: {_folder} has no directory mcpush/\n"
        "  what to do: Run 'python scripts/new_push.py WAREHOUSE my-push' in the push-ingestion bundle. It makes\n"
        "  a complete folder. Or copy the bundle's scripts/mcpush into this one. Do not pip install mcpush: this\n"
        "  library is not on PyPI.",
        file=sys.stderr,
    )
    raise SystemExit(2)

del sys, Path, _folder, _scripts, _library
