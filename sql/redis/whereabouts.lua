-- whereabouts: the environment that the store has noted, and its identity.
--
-- in:   worker, or nothing: who asks
-- out:  a JSON document {store_id, noted, environment, place, beats, server}; noted is null where nothing has been noted
--       yet; beats is how many heartbeats of *worker* the store has, null for a worker that it does not know; server
--       is a text that differs after each start of the server
-- uses: lib/worker, lib/home, lib/identity
-- full: goes on
local worker = read_worker(given.worker)
local beats = worker and text((profile_of(worker).info or {}).beats or 0) or 'null'
local is_noted = call('EXISTS', root .. 'home') == 1
local environment = is_noted and call('HGET', root .. 'home', 'environment')
return {{{'{"store_id":' .. cjson.encode(name_of_store()) .. ',"noted":' .. (is_noted and '{}' or 'null')
          .. ',"environment":' .. (environment and cjson.encode(environment) or 'null') .. ',"place":{},"beats":' .. beats
          .. ',"server":"' .. run_id() .. '"}'}}}
