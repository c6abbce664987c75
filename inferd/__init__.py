"""Share one copy of each model between the processes of one machine."""

__version__ = "0.1.0"
