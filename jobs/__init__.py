"""What the work means: the read surface, records to graph, revisions, verdicts, schedules, errors, events.

Pure: no client library, no clock, no file but its own data. The worker brings the pages and takes the graph.
"""
