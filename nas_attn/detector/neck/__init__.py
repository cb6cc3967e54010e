"""The neck of a base model: its graph, its slots, and the code that writes an architecture into them."""
