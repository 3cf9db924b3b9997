"""Documents to a long-context instruction dataset; the index is made first if it is not there.

python -m ray_jobs.synthesize --config laptop.yaml [--section.field VALUE ...]
ray job submit --working-dir . -- python -m ray_jobs.synthesize --config laptop.yaml
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["synthesize", *sys.argv[1:]]))
