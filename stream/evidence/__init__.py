"""Evidence bundles: one sighting with all that belongs to it, signed, and checked anywhere."""
