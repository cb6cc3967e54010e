"""Statistics of trials. The functions take and return numbers; they need neither a study nor torch."""
