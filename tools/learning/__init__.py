"""What the training and evaluation commands share; never imported by the live path."""
