"""Raw dump -> Conversation, one file a format."""
