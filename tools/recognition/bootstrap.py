"""Intervals of figures: what the tools take of engines.recognition.bootstrap."""

from engines.recognition.bootstrap import Estimate, People, Values, Weights, estimate, estimates

__all__ = ["Estimate", "People", "Values", "Weights", "estimate", "estimates"]
