"""The executor for intelligent contracts and the world around it.

The parts are the top-level folders of the repository; here are only links to them, which an installation replaces by
the folders themselves (``docs/architecture.md``).
"""
