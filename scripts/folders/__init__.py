"""Folders of push scripts: what the bundle offers, and how a customer's copy is created and upgraded.

Needs the standard library only.
"""
