-- claimed: what a worker receives of the jobs it claims.
--
-- in:   ids, jobs   the records, in the order of the ids · now
-- out:  a function
-- uses: lib/store, lib/job
local function claimed(ids, jobs, now)
    local bodies, rows = fetch(root .. 'body', ids), {}
    local function expires_in(job) return job[EXPIRES_AT] and (job[EXPIRES_AT] - now) / 1000000 or null end
    for n, id in ipairs(ids) do
        local job, body = jobs[n], cmsgpack.unpack(bodies[n])
        rows[n] = {id, job[PRIORITY], job[POSITION], job[ATTEMPT], body[TASK], body[ARGS], job[MAX_ATTEMPTS],
                   body[TIMEOUT] or null, job[RUN_AT] / 1000000, job[RESCUES], progress_text(job),
                   body[METADATA] or null, body[TAGS] or null, job[WORKFLOW] or null, job[QUEUE], job[KEY] or '',
                   expires_in(job)}
    end
    return rows
end
