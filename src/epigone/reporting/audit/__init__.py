"""The audit: recorded answers, judgments and scores of real models in, an honest verdict out."""
