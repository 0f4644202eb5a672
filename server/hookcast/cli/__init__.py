"""The `hookcast` command."""
