"""Tests of the stub and of new_push.py, and their shared helpers."""
