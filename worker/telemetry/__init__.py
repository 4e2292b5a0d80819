"""What people and machines see of the work: log lines, metrics, health. It subscribes to `jobs.events`."""

from worker.telemetry.health import Health
from worker.telemetry.logs import configure_logs, log_event
from worker.telemetry.metrics import FleetFigures, Metrics
from worker.telemetry.serving import MetricsServer
from worker.telemetry.unforeseen import describe_unforeseen, name_frames, tell_strays

__all__ = [
    "FleetFigures",
    "Health",
    "Metrics",
    "MetricsServer",
    "configure_logs",
    "describe_unforeseen",
    "log_event",
    "name_frames",
    "tell_strays",
]
