"""Training an adapter beside a base that stays as it is (`models/adapters` has what they are made of)."""

from maskfork.learn.adapt.adapt import Adapted, adapt, again, check_merges
from maskfork.learn.adapt.memory import Memory
from maskfork.learn.adapt.names import NAMES, by_name
from maskfork.learn.adapt.rates import rate_for, rate_on
from maskfork.learn.adapt.room import room

__all__ = ["NAMES", "Adapted", "Memory", "adapt", "again", "by_name", "check_merges", "rate_for", "rate_on", "room"]
