"""Where prompts come from: each component makes many examples out of a few by asking a model, one file a recipe.

In `seeds/`: the seed examples and templates that ship, as JSON lines and plain text.
"""
