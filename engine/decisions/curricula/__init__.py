"""Curriculum policies: `weights(captures, settings)` gives the shares of sampling by constraint type."""
