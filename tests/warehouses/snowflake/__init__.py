"""The embedded Snowflake: its server, the documented catalog, the demo shop, and a launcher."""
