"""What a person looks at: drawn masks, plots, reports."""
