"""What to do while a run trains, decided from its captures: pure functions, so that a page can ask them again."""
