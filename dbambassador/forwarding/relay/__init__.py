"""Carrying the bytes of a session that was opened: the engines and what they are made of."""
