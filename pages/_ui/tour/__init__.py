"""Tour: seven steps for people who have never heard of a circuit."""
