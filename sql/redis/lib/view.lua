-- view: a job as people and programs see it, a JSON document.
--
-- in:   id · the record · the body · brief: without what may be large
-- out:  functions
-- uses: lib/look, lib/instant
local function quoted(value) return value and cjson.encode(value) or 'null' end
local function number(value) return value and text(value) or 'null' end
local function moment(value) return value and '"' .. iso(value) .. '"' or 'null' end

local function view(id, job, body, ended, brief)
    local parts = {
        '"id":' .. text(id), '"task":' .. quoted(body[TASK]), '"state":"' .. job[STATE] .. '"',
        '"queue":' .. quoted(job[QUEUE]), '"priority":' .. text(job[PRIORITY]),
        '"position":' .. number(not ended and job[POSITION]), '"attempt":' .. text(job[ATTEMPT]),
        '"max_attempts":' .. text(job[MAX_ATTEMPTS]), '"rescues":' .. text(job[RESCUES]),
        '"run_at":' .. moment(job[RUN_AT]), '"enqueued_at":' .. moment(body[ENQUEUED_AT]),
        '"claimed_at":' .. moment(job[CLAIMED_AT]), '"finished_at":' .. moment(ended and ended[FINISHED_AT]),
        '"worker":' .. number(job[WORKER]), '"lease":' .. number(job[LEASE]),
        '"timeout_seconds":' .. (body[TIMEOUT] and string.format('%.17g', body[TIMEOUT]) or 'null'),
        '"unique_key":' .. quoted(job[UNIQUE]), '"blocked_by":' .. text(job[BLOCKED_BY]),
        '"cancel_requested":' .. tostring(job[CANCEL_REQUESTED]), '"reason":' .. quoted(job[REASON]),
        '"errors":' .. (job[ERRORS] and '[' .. table.concat(job[ERRORS], ',') .. ']' or 'null'),
        '"tags":' .. quoted(body[TAGS]), '"key":' .. quoted(job[KEY]), '"workflow":' .. number(job[WORKFLOW]),
        '"cause":' .. number(ended and ended[CAUSE]), '"expires_at":' .. moment(job[EXPIRES_AT]),
        '"keep":' .. (job[UNKEPT] and 'false' or 'null'), '"begun":' .. (job[PERMIT] and 'true' or 'null'),
        '"due_at":' .. moment(not ended and job[DUE_AT] or job[RUN_AT]),
    }
    if not brief then
        parts[#parts + 1] = '"args":' .. body[ARGS]
        parts[#parts + 1] = '"metadata":' .. (body[METADATA] or 'null')
        parts[#parts + 1] = '"result":' .. (ended and ended[RESULT] or 'null')
        parts[#parts + 1] = '"progress":' .. (job[PROGRESS] and progress_text(job) or 'null')
    end
    return '{' .. table.concat(parts, ',') .. '}'
end
