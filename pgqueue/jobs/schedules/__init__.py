"""Schedules as values: when they fire, what a deploy changes in them, what is due. No I/O.

`timing` computes instants from a text (`cron` and `english` read it). `schedule` has the schedules
that code declares, `rows` those that a store keeps; `merging` combines a new declaration with
changes that people have made meanwhile; `firings` decides what a leader does with a row that is
due.
"""
