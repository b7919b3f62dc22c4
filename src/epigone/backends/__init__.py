"""Who answers: each component is a LanguageModel."""
