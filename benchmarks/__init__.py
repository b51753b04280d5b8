"""How fast pgqueue is, beside the least that PostgreSQL can be asked: see README.md."""
