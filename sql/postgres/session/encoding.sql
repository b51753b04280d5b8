-- encoding: sets the client's encoding, in both directions, until the transaction ends.
--
-- in:   encoding text: as the server calls it
-- out:  nothing
SELECT set_config('client_encoding', :encoding::text, true);
