"""What a distillation found, in the terminal and as a page."""
