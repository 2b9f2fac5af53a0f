"""Widgets, selection, errors, caching: the only shared page code."""
