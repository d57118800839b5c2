"""Runs one file of Pillow's tests; see reporting.py."""

import sys

import reporting

reporting.run(sys.argv[1], folder="/lib")
