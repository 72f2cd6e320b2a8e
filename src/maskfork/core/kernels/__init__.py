"""How masked attention is computed: one file a kernel; each takes what it can compute and refuses the rest aloud."""
