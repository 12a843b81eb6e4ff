"""Local servers that speak the protocols of the warehouses' own drivers, and the data that fills them."""
