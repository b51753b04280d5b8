-- create: writes new jobs into the store.
--
-- in:   rows in the order of their ids, as for enqueue · ids · notify · now
-- out:  a function
-- uses: lib/place
local function create(rows, ids, notify, now)
    local jobs, records, bodies, live = {}, {}, {}, {}
    for n, row in ipairs(rows) do
        local id = ids[n]
        local due = row.run_at or now + micro(row.delay_seconds or 0)
        local blocked_by = row.blocked_by or 0
        local state = blocked_by > 0 and 'blocked' or due > now and 'scheduled' or 'available'
        jobs[n] = {state, row.queue or 'default', row.priority or 0, false, false,
                   false, 0, row.max_attempts or 10, 0, due,
                   false, blocked_by, false, false, false,
                   false, row.workflow or false, row.unique_key or false, false, false}
        if row.key then jobs[n][DUE_AT], jobs[n][KEY] = false, row.key end
        bodies[2 * n - 1] = id
        bodies[2 * n] = cmsgpack.pack({row.task, row.args or '{}', row.timeout_seconds or false,
                                       row.metadata or false, row.tags or false, now})
        live[2 * n - 1], live[2 * n] = id, id
        if row.keep == false then jobs[n][UNKEPT] = true end
        local expires = row.expires_at or row.expires_seconds and due + micro(row.expires_seconds)
        if expires then
            jobs[n][EXPIRES_AT] = expires
            call('ZADD', root .. 'expires', expires, id)
        end
        if row.workflow then call('ZADD', root .. 'members:' .. text(row.workflow), id, id) end
        if row.unique_key then call('HSET', root .. (row.is_next and 'unique_next' or 'unique'), row.unique_key, id) end
    end
    local topics = enter(ids, jobs, now)
    for n, id in ipairs(ids) do
        records[2 * n - 1], records[2 * n] = id, cmsgpack.pack(jobs[n])
    end
    many('HSET', root .. 'job', records)
    many('HSET', root .. 'body', bodies)
    many('ZADD', root .. 'live', live)
    if notify then wake_all(topics) end
end
