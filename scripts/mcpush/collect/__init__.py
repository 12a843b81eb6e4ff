"""Collecting: reads a warehouse through the collect script's driver and writes a manifest."""
