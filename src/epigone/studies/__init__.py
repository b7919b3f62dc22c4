"""Recipes: each a function that returns a Study."""
