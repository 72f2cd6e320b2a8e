"""Where a token is: one file a scheme, each a frozen spec and the module with the hooks that it needs (`hooks.py`)."""
