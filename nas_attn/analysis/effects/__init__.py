"""Effects of modules: the additive model of a study, with its conclusion, heat map and table."""
