"""Real API servers: built from Go modules, filled with recorded states, asked through the real kubectl."""
