"""NumPy and Pillow in contracts."""
