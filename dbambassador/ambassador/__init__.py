"""The composition root: builds the stages, runs them, and ends them in order."""
