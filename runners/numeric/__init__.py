"""The interpreter with NumPy and Pillow inside: their modules compiled for WebAssembly, and linked as built-in ones."""
