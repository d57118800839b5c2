"""The configuration: what is required, what is left out, and what the shipped one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pygenvm.executor.config import parse_yaml
from pygenvm.modules import llm
from pygenvm.modules.config import ConfigError, common_settings, expanded
from pygenvm.modules.llm.settings import Price, default_document, read_settings, usable_backends
from tests.modules.llm.support import KEY, TEMPLATES, backend, document

KEYS = {"OPENAIKEY", "HEURISTKEY", "ANTHROPICKEY", "XAIKEY", "GEMINIKEY", "ATOMAKEY"}


def test_shipped_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, f"{name}-0123456789")
    shipped = expanded(default_document(), tmp_path)
    common = common_settings(shipped)
    assert common.bind_address == "127.0.0.1:3031"
    assert Path(common.lua_script_path).is_file()
    settings = read_settings(shipped)
    assert list(settings.backends) == ["openai", "heurist", "anthropic", "xai", "google"]
    assert settings.backends["openai"].models["gpt-4o"].price == Price(2.5, 10)
    assert settings.warnings == ()
    assert settings.gen_per_cost == 0
    monkeypatch.delenv("OPENAIKEY")
    monkeypatch.setenv("XAIKEY", "")
    shipped = expanded(default_document(), tmp_path)
    assert usable_backends(shipped) == ["heurist", "anthropic", "google"]
    assert read_settings(shipped).warnings == (
        "backend openai is disabled: its key is empty",
        "backend xai is disabled: its key is empty",
    )


def test_keys_that_are_commented_out_show_their_defaults() -> None:
    """Each `# key: value` of the sample, uncommented, changes nothing."""
    text = (Path(llm.__file__).parent / "default.yaml").read_text()
    for shown, line in (
        ("# concurrency: 64", "concurrency: 64"),
        ("# timeout_seconds: 120", "timeout_seconds: 120"),
        ("# queue_seconds: 60", "queue_seconds: 60"),
        ("# text_content: parts", "text_content: parts"),
        ("# context_tokens: 4096", "context_tokens: 4096"),
        (
            "# retry: {attempts: 3, base_seconds: 0.5, max_seconds: 8, retry_after_seconds: 30}",
            "retry: {attempts: 3, base_seconds: 0.5, max_seconds: 8, retry_after_seconds: 30}",
        ),
    ):
        assert shown in text
        text = text.replace(shown, line)
    changed, shipped = parse_yaml(text.encode()), default_document()
    for one in (changed, shipped):
        for entry in one["backends"].values():
            entry["enabled"] = True
            entry["key"] = KEY
    assert read_settings(changed) == read_settings(shipped)


def test_disabled_parts_are_left_out() -> None:
    config = document(
        off=backend("http://x", enabled=False),
        empty=backend("http://x", models={"m": {"enabled": False}}),
        none=backend("http://x", models={}),
        a=backend("http://x", models={"off": {"enabled": False}, "on": {}}),
    )
    settings = read_settings(config)
    assert list(settings.backends) == ["a"]
    assert list(settings.backends["a"].models) == ["on"]
    assert settings.warnings == (
        "backend empty is disabled: it has no models",
        "backend none is disabled: it has no models",
    )


def test_a_key_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f" {KEY}\n")
    one = backend("http://x", key_file=str(path))
    del one["key"]
    settings = read_settings(document(a=one))
    assert settings.backends["a"].key == KEY
    assert KEY not in repr(settings)
    path.write_text("\n")
    assert usable_backends(document(a=one)) == []
    path.write_bytes(b"k" * 100_000)
    assert usable_backends(document(a=one)) == []
    path.write_bytes(b"\xff")
    assert usable_backends(document(a=one)) == []
    path.unlink()
    with pytest.raises(ConfigError, match=f"the key file {path}: No such file"):
        read_settings(document(a=one))
    with pytest.raises(ConfigError, match=r"backends\.a\.key_file: stands beside key"):
        read_settings(document(a=backend("http://x", key_file=str(path))))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"backends": None}, "backends"),
        ({"backends": []}, "backends"),
        ({"backends": {"a": 5}}, r"backends\.a"),
        ({"prompt_templates": None}, "prompt_templates"),
        ({"prompt_templates": {**TEMPLATES, "eq_comparative": None}}, r"prompt_templates\.eq_comparative"),
        (
            {"prompt_templates": {**TEMPLATES, "eq_comparative": {"system": "", "user": "#{principle}"}}},
            r"prompt_templates\.eq_comparative\.user: must have #\{leader_answer\}",
        ),
        ({"backends": {"a": backend("ftp://x")}}, r"backends\.a\.host"),
        ({"backends": {"a": backend("http://x", provider="openai")}}, r"backends\.a\.provider: 'openai' is none of"),
        ({"backends": {"a": backend("http://x", key=None)}}, r"backends\.a\.key: is missing"),
        ({"backends": {"a": backend("http://x", models=None)}}, r"backends\.a\.models"),
        ({"backends": {"a": backend("http://x", model={"price": {"input": -1}})}}, r"models\.m\.price\.input"),
        ({"backends": {"a": backend("http://x", model={"price": {"input": float("inf")}})}}, r"price\.input"),
        ({"backends": {"a": backend("http://x", model={"concurrency": 0})}}, r"models\.m\.concurrency"),
        ({"backends": {"a": backend("http://x", model={"supports_json": "yes"})}}, r"models\.m\.supports_json"),
        ({"backends": {"a": backend("http://x", retry={"attempts": 1000})}}, r"backends\.a\.retry\.attempts"),
        ({"backends": {"a": backend("http://x", weight=-1)}}, r"backends\.a\.weight"),
        ({"backends": {"a": {"provider": "mock", "models": {"m": {}}}}}, r"backends\.a\.file"),
        ({"backends": {"a": {"provider": "local", "models": {"m": {}}}}}, r"backends\.a\.models\.m\.file"),
        ({"budget": 5}, "budget"),
        ({"budget": {"day": "much"}}, r"budget\.day"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_errors_name_the_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        read_settings(document(a=backend("http://x")) | change)
