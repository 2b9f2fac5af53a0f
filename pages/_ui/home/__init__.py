"""Home: the bundled story and recent work."""
