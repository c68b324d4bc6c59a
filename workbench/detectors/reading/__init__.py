"""Files of weights that are not detectors' own: torchvision's, and checkpoints of runs."""
