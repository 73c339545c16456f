-- Takes up to ARGV[1] messages below all limits of one key, or says how long to wait (in milliseconds) for one.
--
-- ARGV: how many, then a count and a number of seconds for each limit. KEYS[1] is a hash from "<seconds>:<slice>" to a count;
-- a slice is a twentieth of its window, and the present one and the twenty before it count (gateway/src/limits/window.rs).
-- The time is this server's: gateways need not agree on it.
local SLICES = 20
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local by_window = {}
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local seconds, slice = string.match(stored[i], '^(%d+):(%d+)$')
  if seconds then
    local slices = by_window[seconds] or {}
    by_window[seconds] = slices
    slices[#slices + 1] = {slice = tonumber(slice), count = tonumber(stored[i + 1]), field = stored[i]}
  end
end

-- Windows that the limits do not name any more.
for seconds, slices in pairs(by_window) do
  local named = false
  for i = 3, #ARGV, 2 do named = named or ARGV[i] == seconds end
  for _, entry in ipairs(slices) do
    if not named then redis.call('HDEL', KEYS[1], entry.field) end
  end
end

local granted, wait, longest = tonumber(ARGV[1]), 0, 0
local present = {}
for i = 2, #ARGV, 2 do
  local limit, seconds = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local width = seconds * 1000 / SLICES
  local slice = math.floor(now / width)
  present[string.format('%d:%d', seconds, slice)] = true
  longest = math.max(longest, seconds * 1000 + width)
  local slices, used = by_window[ARGV[i + 1]] or {}, 0
  table.sort(slices, function(a, b) return a.slice < b.slice end)
  for _, entry in ipairs(slices) do
    if entry.slice + SLICES < slice then
      redis.call('HDEL', KEYS[1], entry.field)
      entry.count = 0
    end
    used = used + entry.count
  end
  granted = math.min(granted, limit - used)
  if used >= limit then
    -- From the oldest slice on: the one that makes room when it is counted no longer.
    local left, free_at = used, now + seconds * 1000
    for _, entry in ipairs(slices) do
      left = left - entry.count
      if left < limit then
        free_at = (entry.slice + SLICES + 1) * width
        break
      end
    end
    wait = math.max(wait, free_at - now)
  end
end

if granted < 1 then
  return {0, math.max(1, math.ceil(wait))}
end
for field, _ in pairs(present) do
  redis.call('HINCRBY', KEYS[1], field, granted)
end
redis.call('PEXPIRE', KEYS[1], math.ceil(longest))
return {granted, 0}
