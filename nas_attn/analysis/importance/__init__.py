"""Importance of slots and settings: the shares of variance, and their figure."""
