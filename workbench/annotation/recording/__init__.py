"""How actions come to the disk: a log that only grows, and a COCO file that is written fast."""
