"""Which address may be used now, and why: evidence, a state for each address, checks, the choice."""
