"""What would be made, from what, and why: graph, recipes, staleness. Pure, but for the ports it is given."""
