"""Conclusions from a study: front, noise, effects, importance. Each figure is made of numbers first, then drawn."""
