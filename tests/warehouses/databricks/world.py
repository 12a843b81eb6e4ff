"""The objects of the local Databricks, who may see them, and what a name in a statement refers to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.warehouses.databricks import own_objects
from tests.warehouses.databricks.catalog import HIVE, INFORMATION_SCHEMA, SYSTEM, Catalog, catalog_column
from tests.warehouses.databricks.errors import Refused, denied, no_catalog, no_schema, no_table
from tests.warehouses.databricks.faults import Orders
from tests.warehouses.databricks.storage import Storage, quoted

Path = tuple[str, str, str]


@dataclass
class Session:
    """A session of a principal. ``sees_data`` is False for the principal without grants."""

    principal: str
    sees_data: bool
    catalog: str
    schema: str = "default"

    def path(self, parts: Sequence[str]) -> Path:
        """The full, lower-case name behind the parts of a name."""
        lower = [part.lower() for part in parts]
        catalog, schema, name = [self.catalog, self.schema][: 3 - len(lower)] + lower
        return catalog, schema, name


@dataclass
class World:
    """Everything that sessions can see. ``relations`` are tables and views as dicts (filling.py): their facts that
    commands show, but no view.
    """

    documented: Catalog
    storage: Storage
    orders: Orders
    catalogs: list[str] = field(default_factory=list)
    schemas: dict[str, list[str]] = field(default_factory=dict)
    relations: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def empty(self, catalogs: Sequence[str]) -> None:
        """Delete everything. These catalogs exist and are empty; so does the catalog system."""
        self.storage.empty()
        self.relations.clear()
        self.catalogs = [*catalogs, SYSTEM]
        self.schemas = {name: [INFORMATION_SCHEMA] for name in self.catalogs}
        system = {view.split(".")[1] for view in self.documented.views if view.startswith(f"{SYSTEM}.")}
        self.schemas[SYSTEM] += sorted(system)
        for view, rows in own_objects.rows(self.catalogs, self.documented).items():
            self.storage.insert(view, rows)

    def add(self, catalog: str, schemas: Sequence[str], relations: Sequence[dict[str, Any]]) -> None:
        known = self.schemas.setdefault(catalog, [] if catalog == HIVE else [INFORMATION_SCHEMA])
        known += [schema for schema in schemas if schema not in known]
        if catalog not in self.catalogs:
            self.catalogs.append(catalog)
        self.relations.update({(catalog, each["schema"], each["name"]): each for each in relations})

    # --- access -----------------------------------------------------------------------------------------

    def hides(self, session: Session, *parts: str) -> bool:
        """Whether a catalog, schema or table is not visible to the session."""
        if parts[0] == SYSTEM:
            return False
        return not session.sees_data or self.orders.denies_all or ".".join(parts) in self.orders.denied

    def visible_catalogs(self, session: Session) -> list[str]:
        return [name for name in self.catalogs if not self.hides(session, name)]

    def check_schema(self, session: Session, catalog: str, schema: str | None = None) -> None:
        """Raise the error for a catalog or schema that does not exist, or is not visible."""
        if catalog not in self.catalogs:
            raise no_catalog(catalog)
        if self.hides(session, catalog):
            raise denied("USE CATALOG", "Catalog", catalog)
        if schema is None:
            return
        if schema not in self.schemas[catalog] or f"{catalog}.{schema}" in self.orders.disabled:
            raise no_schema(catalog, schema)
        if self.hides(session, catalog, schema):
            raise denied("USE SCHEMA", "Schema", f"{catalog}.{schema}")

    def relation(self, session: Session, parts: Sequence[str]) -> tuple[Path, dict[str, Any]]:
        """A table or view, by its name in a command."""
        path = session.path(parts)
        try:
            self.check_schema(session, *path[:2])
        except Refused as error:
            raise no_table(*path) if error.state == "42704" else error from None
        if path not in self.relations:
            raise no_table(*path)
        if self.hides(session, *path):
            raise denied("SELECT", "Table", ".".join(path))
        return path, self.relations[path]

    # --- views ------------------------------------------------------------------------------------------

    def source(self, session: Session, parts: Sequence[str]) -> str:
        """The DuckDB query behind the name of a view in a statement."""
        catalog, schema, name = path = session.path(parts)
        view = self.documented.view_of(catalog, schema, name)
        if f"{catalog}.{schema}" in self.orders.disabled:
            raise no_schema(catalog, schema)
        if view is None or catalog not in self.catalogs or catalog == HIVE:
            raise no_table(*path)
        if schema != INFORMATION_SCHEMA:
            if not session.sees_data or self.orders.denies(view):
                raise denied("USE SCHEMA", "Schema", f"{catalog}.{schema}")
            return f"SELECT * FROM {Storage.facts(view)}"
        if self.hides(session, catalog):
            raise denied("USE CATALOG", "Catalog", catalog)
        if self.orders.denies(view):
            raise denied("SELECT", "Table", ".".join(path))
        return f"SELECT * FROM {Storage.facts(view)} WHERE {' AND '.join(self._visible(session, view, catalog))}"

    def _visible(self, session: Session, view: str, catalog: str) -> Iterator[str]:
        columns = self.documented.views[view]
        first = catalog_column(columns)
        place = [first, *(name for name in ("table_schema", "schema_name", "table_name") if name in columns)]
        yield "TRUE" if catalog == SYSTEM else f"{first} = {_literal(catalog)}"
        if not session.sees_data:
            yield f"{first} = {_literal(SYSTEM)}"
        for hidden in self.orders.denied:
            parts = hidden.split(".")
            if parts[0] in self.catalogs and len(parts) <= len(place):
                same = " AND ".join(f"{quoted(place[at])} = {_literal(part)}" for at, part in enumerate(parts))
                yield f"NOT ({same})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
