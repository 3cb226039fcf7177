-- wrk: each thread posts the bodies in turn, as fast as they are answered; without any, it gets. Arguments: their folder,
-- their number.

local bodies, at = {}, 0

function init(args)
  for i = 1, tonumber(args[2]) do
    local file = io.open(args[1] .. "/" .. i .. ".json", "rb")
    bodies[i] = file:read("*a")
    file:close()
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  if #bodies == 0 then return wrk.format("GET") end
  at = at % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[at])
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, "status": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
