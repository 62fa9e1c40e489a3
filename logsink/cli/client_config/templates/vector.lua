function logsink(event, emit)
    local log = event.log
    local pod = log.kubernetes or {}
    local time = log.timestamp
    local at = "-"
    if type(time) == "table" then
        at = string.format("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", time.year, time.month, time.day, time.hour, time.min, time.sec,
            math.floor((time.nanosec or 0) / 1000))
    end
    emit({ log = { message = frame(at, log, pod, pod.pod_labels), timestamp = time } })
end
