"""How fast a model is here: alone, beside its peers, and behind a server under load.

peak.py     what the processor's matrix products reach     alone.py    a model, and peers, in turn in processes of their own
client.py   one connection to a server                     load.py     many of them, closed or open loop
peers.py    other libraries on the same folder
"""
