"""Names to targets: hosts file, DNS, cache, refresher."""
