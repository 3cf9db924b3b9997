"""Where a model's context ends, and what RoPE extends it: the model, the candidates and the trained stages.

python -m ray_jobs.probe --config laptop.yaml [--lengths 8192,16384] [--section.field VALUE ...]
ray job submit --working-dir . -- python -m ray_jobs.probe --config laptop.yaml
"""

import sys

from app.cli import main

if __name__ == "__main__":
    sys.exit(main(["probe", *sys.argv[1:]]))
