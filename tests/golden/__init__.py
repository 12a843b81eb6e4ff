"""Golden recordings of the scripts and the SQL engine, and the tests that compare current behavior with them."""
