"""Evaluation of served models: samples, client, scores, report."""
