"""The rollout engine's own process. It may run under another interpreter: these files import nothing of the package."""
