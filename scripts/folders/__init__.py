"""Creates and upgrades customers' folders of push scripts.

Needs only the standard library.
"""
