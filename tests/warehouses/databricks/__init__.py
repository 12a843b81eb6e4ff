"""A local Databricks: a SQL warehouse with Unity Catalog, system tables and OAuth, for the tests."""
