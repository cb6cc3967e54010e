"""Statistics of trials: numbers in, numbers out; neither a study nor torch is needed."""
