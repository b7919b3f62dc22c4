"""Named mixtures of datasets, each a file that makes a Mix."""
