"""fal's wire formats and HTTP API: `signature` and `webhook` are pure, `keys` and `queue` send HTTP requests."""
