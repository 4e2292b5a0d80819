"""Redis as a doorbell: it says that a run waits, and nothing else. The run itself is a row in PostgreSQL."""

from worker.queue.doorbell import Answering, Doorbell

__all__ = ["Answering", "Doorbell"]
