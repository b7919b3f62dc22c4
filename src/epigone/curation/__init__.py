"""Keep, or drop with a reason: one file a filter."""
