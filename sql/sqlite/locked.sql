-- locked: which of these running jobs somebody else holds at this moment, so that finishing them would wait.
--
-- in:   jobs   JSON array of {id, lease, stays}, in id order
-- out:  id, lease of each that is held: always none, as a writer holds the whole file, and nobody else writes
SELECT value ->> '$.id', value ->> '$.lease' FROM json_each(:jobs) WHERE false;
