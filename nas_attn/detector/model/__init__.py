"""Base models as values: their rows and YAML, the module names in them, and the checks before they are built."""
