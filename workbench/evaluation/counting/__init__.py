"""What figures are counted from: tables of objects and detections, matches, samples, checks."""
