"""What a first crawl costs, beside the time of its parts alone, measured in one run: `make bench`."""
