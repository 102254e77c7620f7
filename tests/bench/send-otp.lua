-- Requests of wrk, each to a different phone, so that no 30 s window is closed.
-- Arguments: the API key and the number of the run.

local threads = 0
local prefixes = { "+8498", "+8497", "+8496", "+8486" }

function setup(thread)
  threads = threads + 1
  thread:set("prefix", prefixes[threads])
end

function init(args)
  head = "POST /api/v1/send-otp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " .. args[1]
    .. "\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n{\"phone\":\"" .. prefix
  phone = (tonumber(args[2]) * 1234567) % 10000000
end

function request()
  phone = (phone + 7368787) % 10000000
  return head .. string.format("%07d", phone) .. '","code":"482917"}'
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  print(string.format("rate: %.1f", summary.requests / (summary.duration / 1e6)))
  print(string.format("failed: %d", failed))
end
