"""Fragmented MP4: written as packets come, read as far as it goes."""
