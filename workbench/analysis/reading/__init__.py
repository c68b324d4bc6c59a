"""What analyses look up in data sets."""
