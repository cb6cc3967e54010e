"""The proxy training of a trial, and the measurement of slot liveness."""
