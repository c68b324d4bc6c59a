"""What others wrote, read with care: images, masks, boxes, paths, and the problems that are found."""
