"""`unvizard footage`: what was recorded, found again."""
