"""Circuits: heads and MLPs at two checkpoints."""
