"""The HTTP face: thin handlers over the services."""
