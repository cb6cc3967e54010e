"""Conclusions from a study: front, noise, effects, importance; a figure is its numbers first, then a drawing."""
