# Shared by all template folders; the source is scripts/templates/_shared/mcpush.py.
"""Loads the mcpush library when a script runs in the bundle's own template folders, which have no copy of it.

A folder created with new_push.py contains the library as the directory ``mcpush/``, which Python prefers to this file.
Anywhere else this file ends the script. For security, it loads a library outside the folder only from the bundle's own
layout, and only if root or the owner of the folder owns it.
"""

import sys
from pathlib import Path

_folder = Path(__file__).parent.resolve()
_scripts = _folder.parent.parent
_library = _scripts / "mcpush"
_files = (_scripts / "new_push.py", _library / "version.py")
_is_bundle = _folder.parent.name == "templates" and all(path.is_file() for path in _files)
_owners = {path.stat().st_uid for path in (*_files, _library)} if _is_bundle else set()

if _is_bundle and _owners <= {_folder.stat().st_uid, 0}:
    __path__ = [str(_library)]
else:
    _why = f", and {_library} does not belong to the owner of this folder" if _is_bundle else ""
    print(
        f"error: the library is missing: {_folder / 'mcpush'} does not exist or is incomplete{_why}\n"
        "  what to do: In the push-ingestion bundle, run 'python scripts/new_push.py --upgrade DIR' if it created\n"
        "  this folder, or 'python scripts/new_push.py WAREHOUSE DIR' for a new one. Or copy the bundle's\n"
        "  scripts/mcpush into it. Do not pip install mcpush: this library is not on PyPI.",
        file=sys.stderr,
    )
    raise SystemExit(2)

del sys, Path, _folder, _scripts, _library, _files, _is_bundle, _owners
