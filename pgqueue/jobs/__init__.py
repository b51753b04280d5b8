"""Jobs as values: what they are, how they hang together, how they may end. No I/O."""
