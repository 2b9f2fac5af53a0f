"""Background jobs in the app: one way to ask for one, its progress, and the indicator in the top bar."""
