"""argv -> spec -> stage or study, a file a verb or a few that belong together; no logic."""
