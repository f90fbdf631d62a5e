"""Training and evaluation of the attributes of a face."""
