"""What a run writes down: metrics, checkpoints, failures, its surroundings and the code it ran."""
