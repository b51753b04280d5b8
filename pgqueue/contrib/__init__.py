"""pgqueue at home in other people's packages: each imports its own, and no other is needed."""
