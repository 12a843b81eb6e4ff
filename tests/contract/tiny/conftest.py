"""The folders here are a fixture: their tests run in the tree that tests/contract/tree.py makes."""

collect_ignore = ["template", "tests", "warehouse"]
