"""The neck of a base model: its graph, the slots in it, and how an architecture is written into them."""
