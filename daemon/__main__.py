"""``python -m inferd.daemon`` is ``inferd serve``."""

import sys

from inferd.daemon.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
