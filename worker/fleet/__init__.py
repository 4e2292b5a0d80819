"""The two long-lived processes: the scheduler, which says what is due, and workers, which do it."""

from worker.fleet.scheduler import run_scheduler
from worker.fleet.worker import run_worker

__all__ = ["run_scheduler", "run_worker"]
