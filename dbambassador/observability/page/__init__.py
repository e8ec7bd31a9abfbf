"""The status page: a snapshot as HTML."""
