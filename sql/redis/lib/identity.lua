-- identity: which run of the server this is.
--
-- in:   nothing
-- out:  a function
-- uses: lib/store
local function run_id() return call('INFO', 'server'):match('run_id:(%w+)') end
