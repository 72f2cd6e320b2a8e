"""`maskfork serve`: models behind HTTP.

request ─ app (key, route, body) ─ routes (TEI's, OpenAI's, ours) ─ house ─ batcher ─┐  one thread a model:
answer  <──────────────────────────────────────────────────────────────────────────┘  read, batch, compute
"""

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.plan import Plan
from maskfork.deploy.serve.served import open_served

__all__ = ["App", "House", "Limits", "Plan", "open_served"]
