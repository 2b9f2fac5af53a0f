"""Corpus: make, import and read one."""
