"""The local Tiny, a fictitious warehouse for the tests: a SQLite database behind a small server."""
