"""The tests mirror src/maskfork; tests/house keeps the house itself in order."""
