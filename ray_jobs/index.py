"""Documents to passages and a vector index.

python -m ray_jobs.index --config laptop.yaml [--section.field VALUE ...]
ray job submit --working-dir . -- python -m ray_jobs.index --config laptop.yaml
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["index", *sys.argv[1:]]))
