"""report.html of what a run holds, half done or whole. Needs no Ray.

python -m ray_jobs.report --config laptop.yaml [--section.field VALUE ...]
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["report", *sys.argv[1:]]))
