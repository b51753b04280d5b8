-- store_id: the store's identity for copies; its address may change.
--
-- in:   nothing
-- out:  text: a name that no other namespace has
-- uses: lib/store, lib/home
return {{{name_of_store()}}}
