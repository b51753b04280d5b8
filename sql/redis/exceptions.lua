-- exceptions: the keys that have limits of their own.
--
-- in:   nothing
-- out:  queue, key, limits (JSON text)
-- uses: lib/store
local rows, queues = {}, call('SMEMBERS', root .. 'settings')
table.sort(queues)
for _, queue in ipairs(queues) do
    local fields, keys = call('HGETALL', root .. 'key_limits:' .. queue), {}
    local said = {}
    for n = 1, #fields, 2 do
        keys[#keys + 1] = fields[n]
        said[fields[n]] = fields[n + 1]
    end
    table.sort(keys)
    for _, key in ipairs(keys) do rows[#rows + 1] = {queue, key, said[key]} end
end
return {rows}
