-- replace: this session takes the place of an earlier one, and terminates it in case the server has not noticed that
-- its client is gone.
--
-- in:   pid integer, begun text: of the earlier session; NULL if there was none
-- out:  pid and begun of this one; false if the earlier one has not ended within a second
-- trap: a session whose client is gone still carries out what it was asked: it may claim jobs that nobody hears of. Only
--       when it has ended can all that it did be seen. The server uses a pid again, so the session's beginning counts too.
SELECT mine.pid, mine.begun,
       (SELECT pg_terminate_backend(a.pid, 1000)
        FROM pg_stat_activity AS a
        WHERE a.pid = :pid::integer AND extract(epoch FROM a.backend_start)::text = :begun::text)
FROM (
    SELECT pid, extract(epoch FROM backend_start)::text AS begun
    FROM pg_stat_activity
    WHERE pid = pg_backend_pid()
) AS mine;
