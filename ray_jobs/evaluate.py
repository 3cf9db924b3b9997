"""NIAH, RULER and short tasks, asked of an OpenAI-compatible URL or of the run's own models.

python -m ray_jobs.evaluate --config laptop.yaml [--url URL] [--suite NAME] [--section.field VALUE ...]
ray job submit --working-dir . -- python -m ray_jobs.evaluate --config laptop.yaml
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
