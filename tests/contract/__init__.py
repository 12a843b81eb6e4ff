"""The contract that every template folder must keep, independent of the warehouse."""
