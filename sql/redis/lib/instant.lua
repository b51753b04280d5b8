-- instant: instants in the form that JSON readers expect.
--
-- in:   microseconds since the epoch
-- out:  functions
-- uses: lib/store
local function iso(instant)
    local seconds = math.floor(instant / 1000000)
    local days = math.floor(seconds / 86400)
    local rest = seconds - days * 86400
    -- The civil calendar, in eras of four hundred years that begin on the first of March.
    local day = days + 719468
    local era = math.floor(day / 146097)
    local of_era = day - era * 146097
    local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524)
                             - math.floor(of_era / 146096)) / 365)
    local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
    local month = math.floor((5 * of_year + 2) / 153)
    local of_month = of_year - math.floor((153 * month + 2) / 5) + 1
    month = month < 10 and month + 3 or month - 9
    year = year + era * 400 + (month <= 2 and 1 or 0)
    return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, of_month,
                         math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60,
                         instant - seconds * 1000000)
end

-- The reason with which an expired job ends.
local function expired(job) return 'expired: no attempt was to begin after ' .. iso(job[EXPIRES_AT]) end

-- A JSON object's text without its braces.
local function inside(object) return object:match('^%s*{(.*)}%s*$') end

local function joined(parts)
    local texts = {}
    for _, part in ipairs(parts) do
        if part:find('%S') then texts[#texts + 1] = part end
    end
    return '{' .. table.concat(texts, ',') .. '}'
end

-- *error*, the text of an object, with its attempt, its instant and its worker.
local function error_text(error, job, now)
    return joined({inside(error), '"attempt":' .. text(job[ATTEMPT]), '"at":"' .. iso(now) .. '"',
                   '"worker":' .. (job[WORKER] and text(job[WORKER]) or 'null')})
end
