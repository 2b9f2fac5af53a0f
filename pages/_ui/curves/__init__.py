"""Learning curves: scores, what changed in the circuits, when a run would have stopped."""
