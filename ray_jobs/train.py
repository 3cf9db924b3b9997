"""The dataset to a longer context: all stages of the recipe, each exported.

python -m ray_jobs.train --config laptop.yaml [--section.field VALUE ...]
ray job submit --working-dir . -- python -m ray_jobs.train --config laptop.yaml
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
