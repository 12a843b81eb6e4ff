"""A folder of modules that nothing may import, with names that scripts and Python itself import."""

from __future__ import annotations

from pathlib import Path

FLOWS = ("metadata", "lineage", "query_logs")
PACKAGES = ("mcpush", "sqlglot", "pycarlo", "requests", "psutil", "filelock", "json", "email", "concurrent")
MODULES = (
    "queue",
    "pickle",
    "signal",
    "re",
    "argparse",
    "datetime",
    "hashlib",
    "sitecustomize",
    "usercustomize",
    "readline",
)
OWN_MODULES = ("connection", "catalog", *(f"{kind}_{flow}" for kind in ("collect", "push") for flow in FLOWS))


class OthersModules:
    """The folder. Each module writes its name to a file when it is imported, and then fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "others"
        self._written = folder / "imported"
        names = [f"{name}/__init__.py" for name in PACKAGES] + [f"{name}.py" for name in (*MODULES, *OWN_MODULES)]
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            note = f"with open({str(self._written)!r}, 'a') as file:\n    print({name!r}, file=file)\n"
            path.write_text(f"{note}raise SystemExit(99)\n")

    def imported(self) -> list[str]:
        """The modules that were imported."""
        return self._written.read_text().splitlines() if self._written.exists() else []
