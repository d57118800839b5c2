"""Models that the runners and the contract map, and sentences as vectors (spec sdk/05 §2)."""

from __future__ import annotations

import importlib.util
import json
import os
import typing
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from .distance import Vector
from .tokens import tokenizer

#: Folders of models, separated by colons.
FOLDERS_VARIABLE = "GENLAYER_EMBEDDINGS_MODELS"
#: A translation that was made beforehand.
TRANSLATION = "model.py"
EMBEDDING = "embedding"

type Main = Callable[..., dict[str, Vector]]


def _discover(folders: str) -> dict[str, Path]:
    found = {}
    for folder in (Path(part) for part in folders.split(":") if part):
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        found[description["name"]] = folder
    return found


#: The folders of the models that can be named.
ALL_MODELS: Mapping[str, Path] = _discover(os.environ.get(FOLDERS_VARIABLE, ""))


class _Program(typing.NamedTuple):
    """A translated model."""

    main: Main
    tokens_truncate: int


@cache
def _program(folder: Path) -> _Program:
    """The model in a folder, translated here unless that was done beforehand."""
    path = folder / TRANSLATION
    if path.exists():
        return _run(path)
    from onnx.numpy_source import translate_folder

    names: dict[str, typing.Any] = {"__name__": f"<model {folder}>", "__file__": str(path)}
    exec(compile(translate_folder(folder), f"<{folder}/model.onnx>", "exec"), names)
    return _Program(names["main"], names["tokens_truncate"])


def _run(path: Path) -> _Program:
    spec = importlib.util.spec_from_file_location(f"<model {path}>", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return _Program(module.main, module.tokens_truncate)


def get_model(
    model: str, inputs: Mapping[str, typing.Any], *, models_db: Mapping[str, Path] = ALL_MODELS
) -> Callable[..., dict[str, Vector]]:
    """A function that computes the outputs of a model, all by name.

    :param inputs: the element type of each input.
    :param models_db: the folder of each model, with ``model.onnx`` and ``model.json``.
    :raises KeyError: there is no such model.
    """
    main = _program(Path(models_db[model])).main

    def compute(**arguments: typing.Any) -> dict[str, Vector]:
        return main(**{name: np.asarray(value, inputs.get(name)) for name, value in arguments.items()})

    return compute


@cache
def SentenceTransformer(model: str) -> Callable[[str], Vector]:
    """A function that gives the vector of a text.

    :raises KeyError: there is no such model.
    """
    return _transformer(_program(ALL_MODELS[model]))


def SentenceTransformerFromPath(path: str | os.PathLike[str]) -> Callable[[str], Vector]:
    """As :func:`SentenceTransformer`, of the Python file that ``python -m onnx.numpy_source`` made of a model."""
    return _transformer(_run(Path(path)))


def _transformer(program: _Program) -> Callable[[str], Vector]:
    def embed(text: str) -> Vector:
        tokens = tokenizer().tokenize(text)
        if len(tokens) > program.tokens_truncate:
            warnings.warn(f"truncating input tokens from {len(tokens)} to {program.tokens_truncate}", stacklevel=2)
            tokens = tokens[: program.tokens_truncate]
        input_ids = np.array(tokens, np.int64).reshape(1, len(tokens))
        # A mask of zeros is what the field's results were computed with: it moves every score by the same number.
        nothing = np.zeros_like(input_ids)
        outputs = program.main(input_ids=input_ids, attention_mask=nothing, token_type_ids=nothing)
        return outputs[EMBEDDING].reshape(-1)

    return embed
