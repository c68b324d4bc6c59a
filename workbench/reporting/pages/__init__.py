"""What a site's pages are made of: what is read from a source, its links, and the frame around it."""
