"""A job queue that lives in the database an application already has."""
