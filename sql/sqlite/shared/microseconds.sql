-- microseconds: an instant that is given as text, as the tables keep it.
--
-- reads: at: the text, in ISO 8601
-- trap: strftime rounds to milliseconds: so the fraction is cut off and added again.
strftime('%s', substr(at, 1, 19) || substr(at, iif(substr(at, 20, 1) = '.', 27, 20))) * 1000000
    + iif(substr(at, 20, 1) = '.', substr(at, 21, 6), 0)
