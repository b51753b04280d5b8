-- encoding: what the client sends is in this encoding, and what it is sent; until the transaction ends.
--
-- in:   encoding text: as the server calls it
-- out:  nothing
SELECT set_config('client_encoding', :encoding::text, true);
