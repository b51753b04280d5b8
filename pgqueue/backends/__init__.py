"""The ports: what carries operations out, one module a store. Siblings never see one another."""
