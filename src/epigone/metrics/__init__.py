"""Pure functions over numbers and texts."""
