"""Who a face probably is: embedding, quality, the gallery of enrolled people, and calibrated matching."""
