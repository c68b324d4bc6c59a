"""What scenes and occluded images are drawn from: layout, pixels, paint, cut-outs, occluders, patterns."""
