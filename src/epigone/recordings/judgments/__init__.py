"""Files of judgments that were recorded elsewhere, one file a format."""
