"""Lineage: edges merged by destination, from catalogs, system views and logged statements."""
