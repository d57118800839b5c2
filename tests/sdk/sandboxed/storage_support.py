"""Storage types made from text, and slots derived from the zero slot (spec sdk/02 §1)."""

ROOT = "00" * 32
IND = {
    0: "372d46c3ada9f897c74d349bbfe0e450c798167c9f580f8daf85def57e96c3ea",
    1: "e1ae23412792df6b6a98fb7c9839701fb8b02b6fc7ed022810f78346494685e7",
    2: "ba005630745acf3014aaf162e9933040302ca0bef3f56fe2d73c0a08f82c610b",
    3: "21b9e013f74608b92947861287b3de76c2c076fe839b7994761bd950cc2e7566",
    4: "27a15e7450d9f04e9c3d8d2d856a8e9c78dfa0081ea2c128fdc93ce2df35ebd6",
}
STAR = "from genlayer import *\nimport typing\nfrom genlayer.py.storage._internal.generate import generate_storage\n"


def build(source, **names):
    """Names that a text defines, seen from a module of its own so that annotations resolve."""
    import sys
    import types

    module = types.ModuleType("types_under_test")
    sys.modules["types_under_test"] = module
    module.__dict__.update(names)
    exec(compile(STAR + source, "types_under_test", "exec"), module.__dict__)
    return module


def one_field(annotation, **names):
    """A record class with one field ``x``."""
    return build(f"@generate_storage\nclass R:\n    x: {annotation}\n", **names).R
