"""The human study: can people tell photographs from reconstructions?"""
