"""What detectors are made of: trunks, pyramids, heads, pooling, anchors, matching."""
