"""The room that talks to a customer's ServiceNow instance: GET alone, but for the POST that asks for a token.

It knows neither the vault nor PostgreSQL: credentials come as arguments, checked pages go back, and every
request is told of by `emit`. Nothing else in the project opens a connection to an instance.
"""

from worker.servicenow.address import check_instance_url
from worker.servicenow.client import Client, FetchedPage, open_client
from worker.servicenow.limits import Limits
from worker.servicenow.reports import REQUEST_KINDS
from worker.servicenow.tokens import TokenStore
from worker.servicenow.trust import build_trust

__all__ = [
    "REQUEST_KINDS",
    "Client",
    "FetchedPage",
    "Limits",
    "TokenStore",
    "build_trust",
    "check_instance_url",
    "open_client",
]
