"""What may be done to a training run besides imitation data, one file each."""
