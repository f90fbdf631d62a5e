"""From a masked face to a guess of what lies under the mask, and the marks that say it is a guess."""
