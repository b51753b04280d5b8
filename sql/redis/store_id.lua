-- store_id: the store's identity for copies, whatever its address is today.
--
-- in:   nothing
-- out:  text: a name that no other namespace has
-- uses: lib/store, lib/home
return {{{name_of_store()}}}
