"""From an accepted client to the end of its session: listeners, the session, the ledger, the relay engine."""
