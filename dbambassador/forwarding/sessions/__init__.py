"""The sessions that live: their ledger, and a regular look at them."""
