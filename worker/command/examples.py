"""A call or two of each command, as `--help` and the reference page show them; a test parses each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "migrate": ("migrate",),
    "keys generate": ("keys generate --into /etc/zaptik/keyring.json",),
    "keys list": ("keys list",),
    "keys rotate": ("keys rotate", "keys rotate --prepare"),
    "keys drop": ("keys drop k-3f9c27d1a0b4",),
    "tenant add": ("tenant add acme --url https://acme.service-now.com --every 1h",),
    "tenant list": ("tenant list",),
    "tenant pause": ("tenant pause acme",),
    "tenant resume": ("tenant resume acme",),
    "tenant offboard": (
        "tenant offboard acme --reference REQ-1042",
        "tenant offboard acme --cancel",
        "tenant offboard --due --certificates /var/lib/zaptik/certificates",
    ),
    "tenant certificate verify": ("tenant certificate verify acme.json",),
    "credential set": (
        "credential set acme --client-id 5d41402abc4b2a76",
        "credential set acme --client-id 5d41402abc4b2a76 --client-secret-stdin < secret",
    ),
    "doctor": ("doctor acme",),
    "sync": ("sync acme --wait", "sync acme --full --wait --json"),
    "runs": ("runs acme --limit 5",),
    "run cancel": ("run cancel 6b0f0d0c-58a1-4c7f-9a53-0d4b0a2f6f11",),
    "status": ("status", "status --watch"),
    "revision list": ("revision list acme",),
    "revision accept": ("revision accept acme", "revision accept acme 7"),
    "revision reject": ("revision reject acme",),
    "graph export": (
        "graph export acme -o acme.jsonl",
        "graph export acme --format html --diff 6 -o acme.html",
    ),
    "graph diff": ("graph diff acme 6 7",),
    "graph explain": ("graph explain acme 'Report a fault'",),
    "graph findings": ("graph findings acme",),
    "surface": ("surface",),
    "consumer grant": ("consumer grant ticket_router acme", "consumer grant platform --requester"),
    "consumer revoke": ("consumer revoke ticket_router acme",),
    "consumer list": ("consumer list",),
    "retention run": ("retention run",),
    "audit tail": ("audit tail --tenant acme --limit 50",),
    "audit verify": (
        "audit verify",
        "audit verify --from 2026-10-01T00:00:00Z",
        "audit verify --after-segment 17",
    ),
    "audit export": ("audit export -o trail.jsonl",),
    "audit seal": ("audit seal",),
    "audit key generate": ("audit key generate --into /etc/zaptik/audit.json",),
    "audit key show": ("audit key show",),
    "completion": (
        "completion bash > ~/.local/share/bash-completion/completions/zaptik",
        "completion zsh > ~/.zfunc/_zaptik",
    ),
    "worker": ("worker",),
    "scheduler": ("scheduler",),
}


def show_examples(command: str) -> str | None:
    """Give the end of a command's help; None where it has no example."""
    calls = EXAMPLES.get(command, ())
    return "\n".join(["examples:", *(f"  zaptik {call}" for call in calls)]) if calls else None
