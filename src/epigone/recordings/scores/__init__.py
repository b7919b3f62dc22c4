"""Files of scores that were recorded elsewhere, one file a format."""
