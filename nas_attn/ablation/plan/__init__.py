"""The plan of an ablation: request, arms, seeds, and an estimate of its trials and hours."""
