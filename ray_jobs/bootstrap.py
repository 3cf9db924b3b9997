"""The whole loop: documents, dataset, stage by stage (train, export, serve, gate), evaluation, report.

python -m ray_jobs.bootstrap --config laptop.yaml [--section.field VALUE ...]
ray job submit --working-dir . -- python -m ray_jobs.bootstrap --config laptop.yaml
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["bootstrap", *sys.argv[1:]]))
