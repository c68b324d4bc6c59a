"""What hardeners share: the adversary's network, the search for the worst window."""
