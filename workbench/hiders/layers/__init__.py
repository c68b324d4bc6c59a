"""What hiders are made of."""
