"""Tasks: functions that become jobs, their arguments and results, and what they may ask."""
