"""A local server for Tiny, a fictitious warehouse for the tests: a SQLite database behind a small server."""
