"""Findings: what a study of many runs says."""
