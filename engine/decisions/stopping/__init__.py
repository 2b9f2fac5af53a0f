"""Stopping policies: `decide(captures, settings)` gives a Verdict with the figures it rests on."""
