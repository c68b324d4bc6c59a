"""What an audit is made of: conditions, the objects that are hidden, occluded images, matches, tables, counts."""
