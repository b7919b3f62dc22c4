"""A checkpoint behind an OpenAI-compatible server."""
