"""Pure JAX models: parameters, layers, one file a family, published weights in and out."""
