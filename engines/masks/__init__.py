"""Masks on faces: is there one, is it worn rightly, and how to draw one for training and demonstration."""
