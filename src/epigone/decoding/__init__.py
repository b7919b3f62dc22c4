"""KV cache and the bucketed, batched engine."""
