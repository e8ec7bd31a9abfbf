"""Environment files: their frozen schema, and decoding that reports every problem at once."""
