"""The embedded Snowflake: its server, the catalog the vendor documents, the demo shop, how to start it."""
