"""Schedules as values: when they fire, what a deploy changes in them, what is due. No I/O.

`timing` says at which instants, from what a person has said (`cron` and `english` read it).
`schedule` is what code declares, `rows` what a store keeps of it; `merging` brings together what is
declared anew and what people have changed meanwhile; `firings` decides what a leader does with a
row that is due.
"""
