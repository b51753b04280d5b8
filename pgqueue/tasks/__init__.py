"""Tasks: functions that become jobs, with their arguments, results and context."""
