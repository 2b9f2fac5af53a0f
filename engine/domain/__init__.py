"""The types that cross rooms, their checks, and the errors a user can meet. No I/O, no torch."""
