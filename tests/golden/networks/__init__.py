"""Published image classifiers with modules of the zoo; their published sizes are independent reference figures."""
