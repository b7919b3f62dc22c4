"""Chat templates, one file each: messages -> pieces of text and control tokens, and which of them are learnt."""
