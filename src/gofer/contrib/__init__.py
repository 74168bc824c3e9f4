"""Gofer inside other people's frameworks: one module for each, which needs that framework."""
