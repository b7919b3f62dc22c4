"""Text -> toxicity score, one file each."""
