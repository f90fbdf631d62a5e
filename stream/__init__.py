"""Frames in motion: capture, inference, overlay, and what links them."""

__version__ = "0.1.0"
