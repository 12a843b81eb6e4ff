"""Folders of push scripts: what the bundle's templates hold, and how a customer's copy is made and upgraded.

Needs the standard library only.
"""
