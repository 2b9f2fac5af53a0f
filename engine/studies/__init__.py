"""Many runs at once, and what follows from them."""
