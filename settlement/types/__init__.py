"""What everything in settlement speaks of: words and their widths, constants, errors (spec settlement/01 §2, §10)."""
