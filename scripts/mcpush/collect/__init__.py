"""Collecting: from a warehouse, through the driver that a collect script brings, into a manifest."""
