"""What others recorded: files of answers, judgments and scores -> our records."""
