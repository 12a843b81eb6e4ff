"""What DESCRIBE and SHOW say about a table or view.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-describe-table
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-aux-show-statistics
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

Relation = dict[str, Any]


def detail(relation: Relation) -> dict[str, Any]:
    """The row of DESCRIBE DETAIL. Only Delta tables have a size."""
    is_delta = relation["format"].lower() == "delta"
    newest = max((each["timestamp"] for each in relation["history"]), default=None)
    return {
        "format": relation["format"].lower(),
        "id": "7f3c8a52-0000-4000-8000-000000000000",
        "name": ".".join(relation["path"]),
        "description": relation["comment"],
        "location": relation["location"],
        "createdAt": relation["created"],
        "lastModified": newest,
        "partitionColumns": [],
        "numFiles": relation["files"] if is_delta else None,
        "sizeInBytes": relation["size"] if is_delta else None,
        "properties": relation["properties"],
        "minReaderVersion": 1 if is_delta else None,
        "minWriterVersion": 2 if is_delta else None,
        "statistics": {},
        "tableFeatures": [],
        "clusteringColumns": [],
    }


def statistics(relation: Relation) -> dict[str, Any]:
    """The document of SHOW STATISTICS. Without ANALYZE and predictive optimization it has no figures."""
    catalog, schema, name = relation["path"]
    return {
        "table_name": name,
        "catalog_name": catalog,
        "namespace": [schema],
        "schema_name": schema,
        "statistics": relation["statistics"] or {},
    }


def statement(relation: Relation) -> str:
    """The statement of SHOW CREATE TABLE, shortened to what tests need."""
    name = ".".join(relation["path"])
    if relation["definition"] is not None:
        return f"CREATE VIEW {name} AS {relation['definition']}\n"
    columns = ",\n  ".join(f"{each['name']} {each['type'].upper()}" for each in relation["columns"])
    return f"CREATE TABLE {name} (\n  {columns})\nUSING {relation['format']}\n"


def as_rows(relation: Relation) -> list[dict[str, Any]]:
    """The rows of DESCRIBE TABLE EXTENDED: the columns, an empty row, and a section with details."""
    columns = [(each["name"], each["type"], each["comment"]) for each in relation["columns"]]
    details = [("", "", ""), ("# Detailed Table Information", "", "")]
    details += [(name, value, "") for name, value in _details(relation).items()]
    return [dict(zip(("col_name", "data_type", "comment"), each, strict=True)) for each in columns + details]


def _details(relation: Relation) -> dict[str, str]:
    catalog, schema, name = relation["path"]
    found = {"Catalog": catalog, "Database": schema, "Table": name, "Owner": relation["owner"]}
    found |= {"Created Time": relation["created_text"], "Last Access": "UNKNOWN", "Created By": "Spark 3.5.2"}
    found["Type"] = relation["kind"]
    if relation["comment"] is not None:
        found["Comment"] = relation["comment"]
    if relation["definition"] is not None:
        text = relation["definition"]
        return found | {
            "View Text": text,
            "View Original Text": text,
            "View Catalog and Namespace": f"{catalog}.{schema}",
        }
    found["Provider"] = relation["format"].lower()
    if known := relation["statistics"]:
        rows = f", {known['num_rows']} rows" if "num_rows" in known else ""
        found["Statistics"] = f"{known['size_in_bytes']} bytes{rows}"
    return found | {"Location": relation["location"]}


def as_json(relation: Relation) -> dict[str, Any]:
    """The document of DESCRIBE TABLE EXTENDED … AS JSON."""
    catalog, schema, name = relation["path"]
    found: dict[str, Any] = {
        "table_name": name,
        "catalog_name": catalog,
        "namespace": [schema],
        "schema_name": schema,
        "columns": [_column(each) for each in relation["columns"]],
        "created_time": relation["created"],
        "last_access": "UNKNOWN",
        "created_by": "Spark 3.5.2",
        "type": relation["kind"],
        "owner": relation["owner"],
        "table_properties": relation["properties"],
    }
    if relation["comment"] is not None:
        found["comment"] = relation["comment"]
    if relation["definition"] is not None:
        return found | {"view_text": relation["definition"], "view_original_text": relation["definition"]}
    found |= {"provider": relation["format"].lower(), "location": relation["location"]}
    return found | ({"statistics": relation["statistics"]} if relation["statistics"] else {})


def _column(column: dict[str, Any]) -> dict[str, Any]:
    kind = exp.DataType.build(column["type"], dialect="databricks")
    found = {"name": column["name"], "type": _type(kind), "nullable": True}
    return found | ({"comment": column["comment"]} if column["comment"] is not None else {})


def _type(kind: exp.DataType) -> dict[str, Any]:
    """A type as JSON: {"name": "decimal", "precision": 12, "scale": 2}, and nested ones."""
    name = kind.this.name.lower() if not isinstance(kind.this, str) else kind.this.lower()
    inner = kind.expressions
    if kind.is_type(exp.DType.ARRAY):
        return {"name": "array", "element_type": _type(inner[0]), "element_nullable": True}
    if kind.is_type(exp.DType.MAP):
        return {"name": "map", "key_type": _type(inner[0]), "value_type": _type(inner[1]), "value_nullable": True}
    if kind.is_type(exp.DType.STRUCT):
        fields = [{"name": each.name, "type": _type(each.args["kind"]), "nullable": True} for each in inner]
        return {"name": "struct", "fields": fields}
    names = {"text": "string", "timestamptz": "timestamp_ltz", "timestampntz": "timestamp_ntz"}
    sizes = [int(each.name) for each in inner]
    parts = dict(zip(("precision", "scale") if name == "decimal" else ("length",), sizes, strict=False))
    return {"name": names.get(name, name), **parts}
