"""Train: the form, and a run while and after it trains."""
