"""The release of the bundle. scripts/new_push.py records it in each folder that it creates."""

RELEASE = "0.1.0"
