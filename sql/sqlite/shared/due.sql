-- due: when a new job is due: at the instant that it names, or after its delay.
--
-- in:   now
-- reads: job, its JSON document · at: the instant that it names, as text, or null
CASE WHEN at IS NULL THEN :now + CAST(round(coalesce(job ->> '$.delay_seconds', 0) * 1000000) AS INTEGER)
     ELSE
     -- include: microseconds
     END
