-- merge: joins lists in the texts of two JSON objects without decoding them: numbers stay as they are written.
--
-- in:   the texts · names of members
-- out:  a function
-- uses: lib/store
local function string_end(json, at)
    repeat
        at = json:find('["\\]', at + 1)
        local is_escape = json:byte(at) == 92
        if is_escape then at = at + 1 end
    until not is_escape
    return at
end

local function value_end(json, at)
    local depth = 0
    while true do
        local byte = json:sub(at, at)
        if byte == '"' then
            at = string_end(json, at)
        elseif byte == '{' or byte == '[' then
            depth = depth + 1
        elseif byte == '}' or byte == ']' then
            depth = depth - 1
        elseif depth == 0 then
            return json:find('[,%]}%s]', at) - 1
        end
        if depth == 0 then return at end
        at = json:find('["%[%]{}]', at + 1)
    end
end

-- Where the value of the member *name* begins and ends in the text.
local function member(json, name)
    local at = 2
    while true do
        at = json:find('[^%s,]', at)
        if json:sub(at, at) ~= '"' then return end
        local key_end = string_end(json, at)
        local first = json:find('[^%s:]', key_end + 1)
        local last = value_end(json, first)
        if cjson.decode('[' .. json:sub(at, key_end) .. ']')[1] == name then return first, last end
        at = last + 1
    end
end

local function list_at(json, name)
    local first, last = member(json, name)
    if first and json:sub(first, first) == '[' then return json:sub(first + 1, last - 1):match('^%s*(.-)%s*$') end
end

-- *newer*, with the lists *names* of *older* put in front of its own.
local function merge(older, newer, names)
    for _, name in ipairs(names) do
        local before, after = list_at(older, name), list_at(newer, name) or ''
        if before then
            local joined = '[' .. before .. (before ~= '' and after ~= '' and ',' or '') .. after .. ']'
            local first, last = member(newer, name)
            if first then
                newer = newer:sub(1, first - 1) .. joined .. newer:sub(last + 1)
            else
                local rest = newer:match('^%s*{%s*(.*)$')
                newer = '{' .. cjson.encode(name) .. ':' .. joined .. (rest:sub(1, 1) == '}' and '' or ',') .. rest
            end
        end
    end
    return newer
end
