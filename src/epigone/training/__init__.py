"""Loss, optimizer, step, loop, checkpoint."""
