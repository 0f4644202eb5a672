"""Background work of a node, outside of requests."""
