-- hold: keeps parents from ending until this transaction ends, so that a child can be added to them.
--
-- in:   ids    JSON array of job ids
-- out:  id of each that exists, live or in the archive; one may come twice
-- trap: a function with its owner's rights: an enqueuer need not be able to read or change
--       jobs. FOR KEY SHARE, in id order; see the function.
SELECT id FROM pgqueue.hold(ARRAY(SELECT jsonb_array_elements_text(:ids::jsonb)::bigint)) AS id;
