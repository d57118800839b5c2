"""Binary tools that every WebAssembly module passes before the engine sees it (spec executor/07).

``prepare`` is the entrance; below it ``module`` reads, ``validate`` refuses, ``ban`` patches and ``names`` names.
Nothing here imports the engine.
"""
