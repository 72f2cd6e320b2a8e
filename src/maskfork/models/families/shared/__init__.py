"""What several families say alike: heads, rope's scaling, experts, BART's and T5's ways. No family is in here."""
