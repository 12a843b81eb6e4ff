"""The embedded Snowflake: server, what the vendor documents of its catalog, the demo shop, and how to start it."""
