"""What the work means: the read surface, records to graph, verdicts, routes, exports, retries, errors, events.

Pure: no client library, no clock, no file but its own data. The worker brings the pages and takes the graph.
"""
