"""Named mutants: small mistakes in the product, each with the test that must fail. Run ``python -m tests.mutants``."""
