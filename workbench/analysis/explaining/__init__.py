"""What maps of saliency are made of: random masks, layers that are listened to, and orders of pixels."""
