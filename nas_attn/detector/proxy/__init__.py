"""The short training of a trial, and the measurement of slot liveness."""
