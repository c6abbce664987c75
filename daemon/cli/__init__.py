"""The command line: `inferd`, one file per command."""
