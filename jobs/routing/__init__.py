"""From a node to who handles it: which edges work goes by, the routes over them, and the words for each step."""
