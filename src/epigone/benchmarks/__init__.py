"""Published benchmarks, one cited file each."""
