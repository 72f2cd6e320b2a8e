"""Pre-training objectives: one file each, pure and seeded."""
