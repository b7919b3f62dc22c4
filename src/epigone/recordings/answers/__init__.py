"""Files of answers that were recorded elsewhere, one file a format."""
