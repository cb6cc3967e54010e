"""Effects of modules: contrasts of the study's posterior, with a conclusion, heat map and table."""
