"""dataset.html, a page to read what a finished dataset holds. Needs no Ray.

python -m ray_jobs.view --config laptop.yaml [--section.field VALUE ...]
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["view", *sys.argv[1:]]))
