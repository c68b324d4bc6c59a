"""What figures share: canvas, sheets of panels, places of tags."""
