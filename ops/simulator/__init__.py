"""A simulated ServiceNow instance: what a crawler meets, on the loopback, with rows that are known.

It stands on its own: it imports nothing of the project, and a client need not know that it is not the real
thing.
"""

from ops.simulator.faults import Fault
from ops.simulator.made import made_store
from ops.simulator.records import records_store
from ops.simulator.server import Simulator
from ops.simulator.store import Store

__all__ = ["Fault", "Simulator", "Store", "made_store", "records_store"]
