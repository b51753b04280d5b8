-- result: how a job ended, for callers that wait for its result.
--
-- in:   id
-- out:  task, state, result, reason, the last error; no row when there is no such job
-- uses: lib/view
local seen = look_up({given.id})[1]
if not seen then return {{}} end
local job, body, ended = unpack(seen)
local errors = job[ERRORS] or {}
return {{{body[TASK], job[STATE], ended and ended[RESULT] or null, job[REASON] or null, errors[#errors] or null}}}
