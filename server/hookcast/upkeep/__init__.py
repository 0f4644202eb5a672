"""Work beside the requests: what the node does for jobs on its own."""
