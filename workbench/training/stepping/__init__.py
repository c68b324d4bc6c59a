"""What one step is made of: batches, changes of images, stages, the optimiser."""
