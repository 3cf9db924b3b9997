"""RULER's 13 tasks (arXiv 2404.06654), as NVIDIA/RULER has them at c3f5e3b."""
