"""The whole product on one machine: throw-away servers, simulated instances, a scheduler and workers, as processes.

For `make demo` and `make up`, the tests in `tests/e2e` and `tests/chaos`, and benchmarks. No deployment uses it.
"""
