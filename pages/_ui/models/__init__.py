"""Models & runs: what there is, what can be done with it, how much room it takes; and the ways to bring your own."""
