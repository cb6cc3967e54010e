"""The plan of an ablation: request, arms, seeds, and an estimate of how many trials it takes."""
