"""What `wrap` is made of: one file for each family of detectors of others, and how their answers are read."""
