raise SystemExit("a module that cannot be imported")
