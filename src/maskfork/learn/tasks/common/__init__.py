"""What all tasks share: their contract, their settings, the fitting, the folder that comes out."""
