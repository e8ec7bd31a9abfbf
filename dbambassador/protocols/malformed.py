"""What every parser here raises when the peer does not speak its protocol."""


class Malformed(Exception):
    """The peer does not speak this protocol; the message says what it sent."""
