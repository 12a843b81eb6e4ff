"""Named mutants: small mistakes in the product, each with a test that must fail. Run ``python -m tests.mutants``."""
