"""Methods: ways to fine-tune beside each other."""
