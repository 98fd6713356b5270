"""kubetriage: kubectl plugins that name the cause of an incident."""

__version__ = "0.1.0"
