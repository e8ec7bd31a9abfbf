"""What is said before bytes flow freely: conversations without I/O, one wire for each protocol."""
