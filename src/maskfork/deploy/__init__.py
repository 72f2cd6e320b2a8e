"""To production: a trained model behind an address."""
