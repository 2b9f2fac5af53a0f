"""Compare: two checkpoints, one prompt or many."""
