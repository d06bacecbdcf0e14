"""The parts of the benchmark: what is run, how it is measured, and what is said about it."""
