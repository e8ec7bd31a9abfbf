"""dbambassador: finds out where it runs and serves that environment's database on localhost."""

__version__ = "0.1.0"
