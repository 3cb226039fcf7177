-- wrk: posts the bodies at planned times and writes what became of each request. One connection a thread.
-- Arguments: folder of the bodies, their number, seconds between requests of a thread, "even" or "random".
--
-- A thread writes a line a request to FOLDER/THREAD.times: when it was due, in seconds of the monotonic clock; how long
-- from then until its answer was there; its status, 0 where the connection broke. A request that is due while the one
-- before has no answer counts from when it was due, not from when it could be sent: a slow answer hides no others.

local ffi = require("ffi")
ffi.cdef("typedef struct { long s, ns; } clock_time; int clock_gettime(int, clock_time *);")
local time = ffi.new("clock_time")
local bodies, at, threads = {}, 0, 0
local due, gap, random, out
local begun -- of the request that has no answer yet
local started, waited = false, false

local function now()
  ffi.C.clock_gettime(1, time)
  return tonumber(time.s) + tonumber(time.ns) / 1e9
end

local function write(status)
  out:write(string.format("%.6f %.6f %d\n", begun, now() - begun, status))
  begun = nil
end

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

function init(args)
  for i = 1, tonumber(args[2]) do
    local file = io.open(args[1] .. "/" .. i .. ".json", "rb")
    bodies[i] = file:read("*a")
    file:close()
  end
  out = io.open(args[1] .. "/" .. id .. ".times", "w")
  gap, random = tonumber(args[3]), args[4] == "random"
  math.randomseed(id + 1)
  due = now() + gap * math.random()
  at = id
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

function delay() -- milliseconds until the next request is due
  local early = due - now()
  started, waited = true, early > 0
  return waited and math.floor(early * 1e3) or 0
end

function request()
  at = at % #bodies + 1
  if started then -- wrk asks once before it begins
    if begun then write(0) end
    local sent = now()
    begun = waited and sent or math.min(due, sent)
    waited = false
    due = due + (random and -math.log(1 - math.random()) * gap or gap)
  end
  return wrk.format(nil, nil, nil, bodies[at])
end

function response(status) -- which wrk also calls where an idle connection is closed
  if begun then write(status) end
end
