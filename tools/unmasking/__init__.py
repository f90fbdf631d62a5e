"""The parts of evaluate_unmasking: cases, controls, measures and the contact sheet."""
