"""Who may come in: how many clients, how silent they may be, and where they wait for an address."""
