"""Effects of modules: the additive model fitted to a study, its conclusion, heat map and table."""
