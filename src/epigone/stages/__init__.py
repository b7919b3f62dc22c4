"""The verbs: each reads artifacts, writes one artifact, and knows nothing of the other stages."""
