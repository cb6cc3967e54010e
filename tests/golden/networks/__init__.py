"""Published image classifiers, built around the zoo's modules: their printed sizes are figures from outside."""
