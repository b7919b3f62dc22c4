"""Conversation -> blocks: tokenizer, chat template, packing."""
