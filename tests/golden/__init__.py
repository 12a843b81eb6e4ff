"""Golden recordings: what the scripts and the SQL engine did when they were recorded, and the tests that compare."""
