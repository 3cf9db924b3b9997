"""A few examples of the dataset, and dataset.html, a page that grows as they are made.

python -m ray_jobs.preview --config laptop.yaml [--section.field VALUE ...]
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["preview", *sys.argv[1:]]))
