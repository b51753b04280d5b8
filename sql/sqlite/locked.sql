-- locked: which of these running jobs somebody else holds at this moment: none, as there is one writer.
--
-- in:   jobs   JSON array of {id, lease, stays}, in id order
-- out:  no rows
SELECT value ->> '$.id', value ->> '$.lease' FROM json_each(:jobs) WHERE false;
