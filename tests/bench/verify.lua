-- Verifications for wrk, each for a different phone, so that no 30 s window is closed.
-- Arguments: the API key, the number of the run, and `start` or `check`. With `check`, each verification is followed by
-- four checks of wrong codes.

local threads = {}
local prefixes = { "+8498", "+8497", "+8496", "+8486" }

function setup(thread)
  table.insert(threads, thread)
  thread:set("prefix", prefixes[#threads])
end

function init(args)
  local common = " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " .. args[1]
    .. "\r\nContent-Type: application/json\r\nContent-Length: "
  start_head = "POST /api/v1/verifications" .. common .. "24\r\n\r\n{\"phone\":\"" .. prefix
  check_tail = "/check" .. common .. "19\r\n\r\n{\"code\":\"00000000\"}"
  phone = (tonumber(args[2]) * 1234567) % 10000000
  due, starts, checks, refused = {}, 0, 0, 0
  if args[3] == "check" then
    response = read_id
  end
end

function request()
  local id = table.remove(due)
  if id then
    return "POST /api/v1/verifications/" .. id .. check_tail
  end
  phone = (phone + 7368787) % 10000000
  return start_head .. string.format("%07d", phone) .. '"}'
end

-- Only with `check`: without a function of this name wrk reads no bodies.
function read_id(status, headers, body)
  if status == 202 then
    starts = starts + 1
    local id = body:match('"id":"([^"]+)"')
    for _ = 1, 4 do
      table.insert(due, id)
    end
  elseif status == 200 then
    checks = checks + 1
  else
    refused = refused + 1
  end
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  local sums = { starts = 0, checks = 0, refused = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sums) do
      sums[name] = sums[name] + thread:get(name)
    end
  end
  print(string.format("rate: %.1f", summary.requests / (summary.duration / 1e6)))
  print(string.format("requests: %d", summary.requests))
  print(string.format("failed: %d", failed + sums.refused))
  print(string.format("starts: %d", sums.starts))
  print(string.format("checks: %d", sums.checks))
end
