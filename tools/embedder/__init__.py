"""Training of the embedder that knows masked faces."""
