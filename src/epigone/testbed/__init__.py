"""The embedded world: facts, corpus, programmatic teacher."""
