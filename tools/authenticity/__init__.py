"""Photographed or painted: examples, training and figures of the authenticity networks."""
