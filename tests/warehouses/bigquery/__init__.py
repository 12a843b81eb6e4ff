"""The local BigQuery: its server, its launcher, and the conversion of the neutral model."""
