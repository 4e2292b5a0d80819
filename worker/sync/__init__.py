"""A run, composed: claim, credentials, token, pages, graph, publish. The rooms it joins do not know each other."""

from worker.sync.doctor import Examination, examine_tenant
from worker.sync.parts import Parts
from worker.sync.sealing import check_keys, seal_stored
from worker.sync.slice import run_slice
from worker.sync.trying import try_credentials

__all__ = [
    "Examination",
    "Parts",
    "check_keys",
    "examine_tenant",
    "run_slice",
    "seal_stored",
    "try_credentials",
]
