"""From an accepted client to the end of its session: listeners, admission, opening, sessions, the engines."""
