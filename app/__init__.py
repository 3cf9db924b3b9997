"""Longstrap: turn a short-context instruct model into a long-context one."""
