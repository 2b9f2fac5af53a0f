"""Tracelapse's engine: everything the app shows is computed here, and nothing here knows the app."""

__version__ = "0.1.0"
