"""What comes from outside as columns: JSON and Arrow, checked and bounded before a model sees it."""
