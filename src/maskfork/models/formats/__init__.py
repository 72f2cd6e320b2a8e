"""How weights lie in files: safetensors, old pickles, llama2.c's binary; whole or in shards; from one to another."""
