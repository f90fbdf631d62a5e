"""Training of embedders by comparing pictures of people: contrastive (Siamese) and triplet."""
