"""Lineage from catalogs, system views and query logs, with edges merged by destination."""
