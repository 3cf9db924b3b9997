"""The evidence that one GPU gives in minutes: exactness, speed, the longest sequence, a real extension.

It needs torch and transformers, neither Ray nor vLLM. `benchmarks/gpu_kit/README.md` has the calls to copy.
"""
