-- first_in_line: the place of the job of the key *k* that an ordered queue may start: the holder of the key's permit if it
-- is available, nobody while it is not; where nobody has a permit, the first that is available.
coalesce((
    SELECT CASE j.state WHEN 'available' THEN j.ctid ELSE '(0,0)'::tid END FROM pgqueue.job AS j
    WHERE j.queue = :queue::text AND j.key = k.key AND j.permit IS NOT NULL
    ORDER BY j.permit
    LIMIT 1), (
    SELECT j.ctid FROM pgqueue.job AS j
    WHERE j.queue = :queue::text AND j.key > '' AND j.key = k.key AND j.state = 'available'
    ORDER BY j.priority, j.position
    LIMIT 1), (
    SELECT j.ctid FROM pgqueue.job AS j
    WHERE k.key = '' AND j.queue = :queue::text AND j.key = '' AND j.state = 'available'
    ORDER BY j.priority, j.position
    LIMIT 1))
