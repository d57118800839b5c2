"""Tests of the services for language models and the web."""
