"""Background work: what a node does for jobs outside of requests."""
