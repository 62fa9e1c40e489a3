function logsink(tag, time, record)
    local pod = record.kubernetes or {}
    local at = os.date("!%Y-%m-%dT%H:%M:%S", time.sec) .. string.format(".%06dZ", math.floor(time.nsec / 1000))
    return 1, time, { frame = frame(at, record, pod, pod.labels) }
end
