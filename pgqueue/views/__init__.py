"""What the command line and the dashboard both show: figures, documents, drawings."""
