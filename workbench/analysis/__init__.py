"""Looking into detectors: what they attend to and what they need to see."""
