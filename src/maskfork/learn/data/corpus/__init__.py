"""Text for pre-training: read, tokenised once into memory-mapped shards, shuffled, packed, resumed to the batch."""
