"""Asking a model behind a server: requests and replies, prices, the budget, many requests at once, provider batches."""
