"""Excludes these folders, which are a fixture. Their tests run in the tree that tests/contract/tree.py creates."""

collect_ignore = ["template", "tests", "warehouse"]
