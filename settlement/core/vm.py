"""The core task VM: providers, their tasks and rewards, in memory only (spec settlement/03 §6).

It shares nothing with the quorum engine. Where the reference follows the order of a map, this one follows the order of
arrival, so that it does the same thing twice.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from pygenvm.settlement.codec.go_json import Raw
from pygenvm.settlement.codec.records import ResultRecord, TaskRecord
from pygenvm.settlement.core.attestation import gpu_score
from pygenvm.settlement.core.rewards import model_hash, receipt_hash, task_reward
from pygenvm.settlement.types.words import ZERO, Hash

VERSION: Final = "v1.0.0"
MIN_FEE: Final = 1_000_000
TASK_TYPES: Final = frozenset({"inference", "training", "embedding", "mining"})
_QUEUE_MAX: Final = 1000
_TASKS_PER_GPU: Final = 2
_PROOF_BYTES_MIN: Final = 32
#: The VM passes no GPU model to the reward, so this is the least of all classes.
_CAPABILITY_PERCENT: Final = 1
#: Ours: what memory holds.
PROVIDERS_MAX: Final = 10_000
TASKS_MAX: Final = 10_000

_MODELS: Final = (("zen-coder-1.5b", 32_768), ("zen-mini-0.5b", 8_192), ("qwen3-8b", 131_072))


class CoreError(Exception):
    """It is refused, with the text of the specification."""


@dataclass(slots=True)
class Provider:
    id: str
    wallet_address: str
    endpoint: str
    #: JSON texts.
    gpus: list[str]
    gpu_attestation: str | None
    reputation: int
    joined_at: str
    current_tasks: int = 0
    tasks_handled: int = 0

    @property
    def max_tasks(self) -> int:
        return _TASKS_PER_GPU * len(self.gpus)

    def members(self) -> dict[str, object]:
        attestation = {} if self.gpu_attestation is None else {"gpu_attestation": Raw(self.gpu_attestation)}
        return {
            "id": self.id,
            "wallet_address": self.wallet_address,
            "endpoint": self.endpoint,
            "gpus": [Raw(gpu) for gpu in self.gpus],
            **attestation,
            "status": {
                "online": True,
                "last_seen": self.joined_at,
                "uptime": 1,
                "failure_rate": 0,
                "current_tasks": self.current_tasks,
                "max_tasks": self.max_tasks,
            },
            "reputation": self.reputation,
            "tasks_handled": self.tasks_handled,
            "joined_at": self.joined_at,
        }


@dataclass(slots=True)
class _Rewards:
    pending: int = 0
    total: int = 0
    completed: int = 0
    milliseconds: int = 0
    slashed: bool = False


class CoreVM:
    """:param clock: the time of now."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._providers: dict[str, Provider] = {}
        self._tasks: dict[str, TaskRecord] = {}
        self._queue: deque[str] = deque()
        self._rewards: dict[str, _Rewards] = {}
        self._receipts: dict[str, Hash] = {}
        self._minted = 0

    # --- providers ---

    def register(
        self, provider_id: str, wallet: str, endpoint: str, gpus: list[str], attestation: tuple[Any, str] | None
    ) -> None:
        """Takes the place of one with the same id. ``AttestationError`` for an attestation that does not hold.

        :param attestation: as JSON gives it, and its text.
        """
        score = 0 if attestation is None else gpu_score(attestation[0]).trust_score
        if provider_id not in self._providers and len(self._providers) >= PROVIDERS_MAX:
            raise CoreError("too many providers")
        text = None if attestation is None else attestation[1]
        self._providers[provider_id] = Provider(provider_id, wallet, endpoint, gpus, text, score, self._now())
        self._assign()

    @property
    def providers(self) -> list[Provider]:
        return list(self._providers.values())

    def slash(self, provider_id: str) -> None:
        """It gets nothing more, and what it has not claimed is forfeit."""
        rewards = self._rewards.setdefault(provider_id, _Rewards())
        rewards.slashed, rewards.pending = True, 0

    # --- tasks ---

    def submit(self, task: TaskRecord) -> None:
        """Pending, in the place of one with the same id; queued unless the queue is full."""
        if not task.id:
            raise CoreError("invalid task")
        if task.fee < MIN_FEE:
            raise CoreError("tx fee below policy minimum")
        if task.id not in self._tasks:
            self._make_room()
        self._free(self._tasks.get(task.id))
        self._tasks[task.id] = replace(task, status="pending", created_at=self._now())
        if task.id not in self._queue and len(self._queue) < _QUEUE_MAX:
            self._queue.append(task.id)
        self._assign()

    def task(self, task_id: str) -> TaskRecord:
        """``CoreError`` where there is none."""
        found = self._tasks.get(task_id)
        if found is None:
            raise CoreError("task not found")
        return found

    def result(self, result: ResultRecord) -> None:
        """By whoever says so: neither the provider nor an earlier result is looked at."""
        task = self.task(result.task_id)
        self._free(task)
        done = replace(
            task,
            status="failed" if result.error else "completed",
            output=result.output,
            compute_time_ms=result.compute_time_ms,
            proof=result.proof,
            completed_at=self._now(),
        )
        self._tasks[task.id] = done
        if not result.error:
            self._reward(done, result.provider_id)
        self._assign()

    def _assign(self) -> None:
        """The first of the queue to the free provider with the highest reputation."""
        while self._queue:
            task = self._tasks.get(self._queue[0])
            if task is None or task.status != "pending":
                self._queue.popleft()
                continue
            free = [one for one in self._providers.values() if one.current_tasks < one.max_tasks]
            if not free:
                return
            provider = max(free, key=lambda one: one.reputation)
            self._queue.popleft()
            provider.current_tasks += 1
            provider.tasks_handled += 1
            self._tasks[task.id] = replace(task, status="assigned", assigned_to=provider.id, started_at=self._now())

    def _free(self, task: TaskRecord | None) -> None:
        provider = self._providers.get(task.assigned_to) if task is not None and task.status == "assigned" else None
        if provider is not None and provider.current_tasks:
            provider.current_tasks -= 1

    def _make_room(self) -> None:
        """The oldest task that has ended goes; ``CoreError`` where none has."""
        if len(self._tasks) < TASKS_MAX:
            return
        ended = next((task.id for task in self._tasks.values() if task.status in ("completed", "failed")), None)
        if ended is None:
            raise CoreError("too many tasks")
        del self._tasks[ended]
        self._receipts.pop(ended, None)

    # --- rewards ---

    def _reward(self, task: TaskRecord, provider_id: str) -> None:
        if provider_id not in self._rewards and len(self._rewards) >= PROVIDERS_MAX:
            return
        rewards = self._rewards.setdefault(provider_id, _Rewards())
        if len(task.proof) < _PROOF_BYTES_MIN or task.id in self._receipts or rewards.slashed:
            return
        uptime = 1.0 if provider_id in self._providers else 0.0
        reward = task_reward(task.compute_time_ms, _CAPABILITY_PERCENT, uptime)
        model = model_hash(task.model)
        self._receipts[task.id] = receipt_hash(task.id, provider_id, model, task.input.encode(), task.output.encode())
        rewards.pending += reward
        rewards.total += reward
        rewards.completed += 1
        rewards.milliseconds += task.compute_time_ms
        self._minted += reward

    def claim(self, provider_id: str) -> int:
        """What was pending; 0 for whoever is unknown."""
        rewards = self._rewards.get(provider_id)
        if rewards is None:
            return 0
        claimed, rewards.pending = rewards.pending, 0
        return claimed

    def reward_statistics(self, provider_id: str) -> dict[str, object]:
        """``CoreError`` for a provider that nobody knows."""
        rewards = self._rewards.get(provider_id)
        if rewards is None:
            if provider_id not in self._providers:
                raise CoreError("provider not found")
            rewards = _Rewards()
        return {
            "avg_latency_ms": rewards.milliseconds // max(1, rewards.completed),
            "pending_rewards": str(rewards.pending),
            "provider_id": provider_id,
            "slashed": rewards.slashed,
            "tasks_completed": rewards.completed,
            "total_rewards": str(rewards.total),
            "uptime": int(provider_id in self._providers),
        }

    # --- all of it ---

    def statistics(self) -> dict[str, object]:
        states = [task.status for task in self._tasks.values()]
        return {
            "epoch_rewards": str(self._minted),
            "models_available": len(_MODELS),
            "providers_active": len(self._providers),
            "providers_total": len(self._providers),
            "receipts_processed": len(self._receipts),
            "tasks_completed": states.count("completed"),
            "tasks_failed": states.count("failed"),
            "tasks_pending": states.count("pending"),
            "total_minted": str(self._minted),
        }

    def merkle_root(self) -> Hash:
        """SHA-256 over pairs of receipt hashes, the last one with itself; zero for none."""
        level = list(self._receipts.values())
        while len(level) > 1:
            level += level[-1:] * (len(level) % 2)
            pairs = zip(level[::2], level[1::2], strict=True)
            level = [Hash(hashlib.sha256(left + right).digest()) for left, right in pairs]
        return level[0] if level else ZERO

    def _now(self) -> str:
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def models() -> list[dict[str, object]]:
    return [
        {
            "id": name,
            "name": name,
            "type": "chat",
            "capabilities": [],
            "context_size": size,
            "parameters": 0,
            "hash": list(model_hash(name)),
        }
        for name, size in _MODELS
    ]
