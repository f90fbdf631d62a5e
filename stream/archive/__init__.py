"""The archive: one SQLite file beside the footage that knows what lies where, what was seen and what happened."""
