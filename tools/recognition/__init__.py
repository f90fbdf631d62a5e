"""Measuring recognition on anybody's pictures: verification of pairs and identification against a gallery."""
