"""What each verb of the command line does, and what a person sees of it."""
