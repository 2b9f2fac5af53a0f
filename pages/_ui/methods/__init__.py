"""Methods: ways to fine-tune, compared."""
