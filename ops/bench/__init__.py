"""What things cost, measured for the pages of `docs/explanation/`: ratios and counts, never a threshold.

`make bench` measures a first crawl beside the time of its parts alone. Each other module that can be run says on its
first line what it measures; the rest are what those share.
"""
