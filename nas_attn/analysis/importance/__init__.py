"""The importance of slots and settings for the result: the numbers and their figure."""
