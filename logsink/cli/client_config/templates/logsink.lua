-- Whole frames of RFC 5424 for @agent@: each with its length in front, who sends it, and a running number.
--
-- Made by `@command@`.

local number = 0

local function first_line(path)
    local file = io.open(path)
    if not file then return "" end
    local line = file:read("*l") or ""
    file:close()
    return line
end

-- The boot, and this life of the agent: the number begins anew with each.
local boot = first_line("/proc/sys/kernel/random/boot_id"):gsub("-", "") .. "."
    .. first_line("/proc/sys/kernel/random/uuid"):gsub("-", ""):sub(1, 12)

local function text(value)
    if value == nil or value == "" then return nil end
    return tostring(value)
end

-- Return the parameters of the element of structured data, quoted. ``labels`` are those of the container, if there is one.
local function parameters(labels)
    number = number + 1
    local values = {
@identity@
    }
    local found = {}
    for _, name in ipairs({ "environment", "role", "deploy", "instance" }) do
        if values[name] then found[#found + 1] = name .. '="' .. values[name]:gsub('[\\"%]]', "\\%0") .. '"' end
    end
    return table.concat(found, " ") .. string.format(' boot="%s" seq="%d"', boot, number)
end

-- Return a value as a word of the header.
local function word(value)
    value = text(value)
    return value and (value:gsub("[^!-~]", "_")) or "-"
end

-- Return the frame of a message. ``record`` has the fields of the journal, or ``log`` or ``message`` and ``stream`` of a container;
-- ``pod`` says which pod that is.
local function frame(time, record, pod, labels)
    local severity = tonumber(record.PRIORITY) or (record.stream == "stderr" and 3 or 6)
    local facility = tonumber(record.SYSLOG_FACILITY) or 1
    local message = tostring(record.log or record.MESSAGE or record.message or ""):gsub("\n+$", "")
    local whole = string.format("<%d>1 %s %s %s %s - [deploy@32473 %s] ", facility * 8 + severity, time,
        word(pod.pod_name or record._HOSTNAME or record.host), word(pod.container_name or record.SYSLOG_IDENTIFIER or record._COMM),
        word(record._PID), parameters(labels or {})) .. message
    return #whole .. " " .. whole
end

