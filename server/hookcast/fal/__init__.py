"""What Hookcast knows about fal's wire: `signature` and `webhook` are pure, `keys` and `queue` speak HTTP."""
