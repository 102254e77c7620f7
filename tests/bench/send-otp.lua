-- Requests of wrk, each to a different phone, so that no 30 s window is closed.
-- Arguments: the API key, or the secret of an integration of the kind logto, and the number of the run.

local threads = 0
local prefixes = { "+8498", "+8497", "+8496", "+8486" }

function setup(thread)
  threads = threads + 1
  thread:set("prefix", prefixes[threads])
end

function init(args)
  local start
  if wrk.path:find("/hooks/") then
    -- As Logto writes it.
    start = '{"to":"' .. prefix:sub(2)
    tail = '","type":"SignIn","payload":{"code":"482917"}}'
  else
    start = '{"phone":"' .. prefix
    tail = '","code":"482917"}'
  end
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " .. args[1]
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. (#start + 7 + #tail) .. "\r\n\r\n" .. start
  phone = (tonumber(args[2]) * 1234567) % 10000000
end

function request()
  phone = (phone + 7368787) % 10000000
  return head .. string.format("%07d", phone) .. tail
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  print(string.format("rate: %.1f", summary.requests / (summary.duration / 1e6)))
  print(string.format("failed: %d", failed))
end
