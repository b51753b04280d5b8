-- expire: cancels waiting jobs that may not begin an attempt any more, the longest expired first.
--
-- in:   limit · skip   at most so many, after skipping so many
--       keep, now   as for complete
-- out:  count, next_seconds: how many expired; the seconds until the next one does (0: more have already; null: none will)
-- uses: lib/settle, lib/instant
-- walks: what expires, from its beginning; also the running jobs at the front, which their workers end
-- full: goes on
if not is_settled(given) then return end
local SLICE = 1000
local now, passed, first = clock(given), given.skip, 0
local ids, jobs, endings, gone = {}, {}, {}, {}
repeat
    local found = numbers(call('ZRANGEBYSCORE', root .. 'expires', '-inf', '(' .. text(now), 'LIMIT', first, SLICE))
    for n, job in ipairs(read(found)) do
        if not job then
            gone[#gone + 1] = found[n]
        elseif job[STATE] ~= 'running' and #ids < given.limit then
            if passed > 0 then
                passed = passed - 1
            else
                ids[#ids + 1], jobs[#jobs + 1] = found[n], job
                endings[#endings + 1] = {state = 'cancelled', reason = expired(job)}
            end
        end
    end
    first = first + SLICE
until #found < SLICE or #ids >= given.limit
local upcoming
local ahead = numbers(call('ZRANGEBYSCORE', root .. 'expires', text(now), '+inf', 'LIMIT', 0, SLICE))
for _, job in ipairs(read(ahead)) do
    if job and job[STATE] ~= 'running' then
        upcoming = job[EXPIRES_AT]
        break
    end
end
finish(ids, jobs, endings, given.keep, now, not given.now)
many('ZREM', root .. 'expires', gone)
settle(now, not given.now)
return {{{#ids, #ids >= given.limit and 0 or upcoming and (upcoming - now) / 1000000 or null}}}
