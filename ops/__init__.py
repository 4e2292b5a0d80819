"""What surrounds the product when it runs, and what makes its pages: nothing here is installed with it.

`local` is the stack of `make demo` and `make up`, `simulator` the instance that it reads, `bench` what is measured,
`dashboards` and `grafana` what Grafana shows, `prometheus` the rules; `image`, `compose`, `kubernetes`, `railway` are
ways to deploy, `web` the script of the exported page. The modules beside them write generated pages and snapshots.
It may import everything; nothing that is installed imports it.
"""
