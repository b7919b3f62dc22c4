"""Who compares two answers, one file each."""
