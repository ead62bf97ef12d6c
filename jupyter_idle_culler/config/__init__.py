"""What the administrator, the environment and the user ask for, checked."""

from .idle_culler import IdleCuller, Settings, load_or_refuse

__all__ = ["IdleCuller", "Settings", "load_or_refuse"]
