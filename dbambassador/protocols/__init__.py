"""Sans-IO messages of the databases' protocols: bytes in, values out. Every parser is bounded."""
