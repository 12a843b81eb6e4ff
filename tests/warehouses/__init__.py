"""Local servers that speak the protocols of the warehouses' own drivers, and what they are filled with."""
