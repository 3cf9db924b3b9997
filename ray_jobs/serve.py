"""Serves models at an OpenAI-compatible URL until it is told to stop.

python -m ray_jobs.serve --config laptop.yaml [--plan] [--section.field VALUE ...]
ray job submit --working-dir . -- python -m ray_jobs.serve --config laptop.yaml
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
