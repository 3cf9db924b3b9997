"""What a recipe will take, beforehand: calls, memory, FLOPs, time, storage, money. Needs no Ray.

python -m ray_jobs.plan --config laptop.yaml [--json FILE] [--section.field VALUE ...]
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["plan", *sys.argv[1:]]))
