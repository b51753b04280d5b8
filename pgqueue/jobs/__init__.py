"""Jobs, graphs, outcomes, limits and schedules as values. No I/O."""
