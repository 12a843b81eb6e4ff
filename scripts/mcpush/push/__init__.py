"""Pushing: from a manifest to Monte Carlo's ingestion API."""
