-- idle_since: since when these sessions have been idle, as the server sees it.
--
-- in:   pids JSON array of integer: sessions of the role that asks
-- out:  pid, in seconds since the epoch, as text, NULL while it works; a session that has ended has no row
-- trap: the server hides the state of other roles' sessions; then, or with track_activities off, nothing is known:
--       NULL.
SELECT a.pid, CASE WHEN a.state LIKE 'idle%' THEN extract(epoch FROM a.state_change)::text END
FROM pg_stat_activity AS a
WHERE a.pid IN (SELECT pid::integer FROM jsonb_array_elements_text(:pids::jsonb) AS pid);
