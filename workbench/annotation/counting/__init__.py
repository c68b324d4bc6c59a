"""Who claims what: the answers of several workers put together."""
