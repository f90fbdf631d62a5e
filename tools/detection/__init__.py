"""Measures how well detectors find faces, with masks and without."""
