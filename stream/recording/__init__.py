"""Footage: what the cameras sent, what was seen in it, and how it is found and handed over again."""
