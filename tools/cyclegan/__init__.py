"""The parts of train_cyclegan: domains, the training itself, pictures for people, and the grid of trials."""
