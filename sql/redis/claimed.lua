-- claimed: what a worker is told of the jobs it has.
--
-- in:   ids, jobs   the records, in the order of the ids
-- out:  a function
-- uses: store, job
local function claimed(ids, jobs)
    local bodies, rows = fetch(root .. 'body', ids), {}
    for n, id in ipairs(ids) do
        local job, body = jobs[n], cmsgpack.unpack(bodies[n])
        rows[n] = {id, job[PRIORITY], job[POSITION], job[ATTEMPT], body[TASK], body[ARGS], job[MAX_ATTEMPTS],
                   body[TIMEOUT] or null, job[RUN_AT] / 1000000, job[RESCUES], progress_text(job),
                   body[METADATA] or null, body[TAGS] or null, job[WORKFLOW] or null, job[QUEUE]}
    end
    return rows
end
