"""Which environment is this: the catalogue, pure selection with reasons, offline proofs."""
