-- The counters of limits in Redis. A counter is a text, "USED:END": how many requests were let through in
-- its window, and when that ends, in microseconds of this server's clock; 0 stands for never. The key goes
-- with the window. All numbers are whole and below 2^53.
--
-- count    KEYS: counters in order; for each of them: limit, period, 1 if what it took is given back when a
--          later one refuses. Answers {counted, used, time left or -1, end} for each, up to the first that refuses.
-- look     the same, and changes nothing.
-- reserve  KEYS: a counter; limit, period, wanted. Answers {granted, used, time left or -1, end}.
-- return   KEYS: a counter; how many, the end of their window.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function window(key, period)
  local stored = redis.call('GET', key)
  if stored then
    local used, ends = string.match(stored, '^(%d+):(%d+)$')
    if not used then
      error('the value of a counter is none')
    end
    used, ends = tonumber(used), tonumber(ends)
    if ends == 0 or ends > now then
      return used, ends
    end
  end
  return 0, period > 0 and now + period or 0
end

local function store(key, used, ends)
  local text = string.format('%.0f:%.0f', used, ends)
  if ends == 0 then
    redis.call('SET', key, text)
  else
    redis.call('SET', key, text, 'PX', string.format('%.0f', math.ceil((ends - now) / 1000)))
  end
end

local function left(ends)
  return ends == 0 and -1 or ends - now
end

local act = ARGV[1]

if act == 'return' then
  local used, ends = window(KEYS[1], 0)
  if ends == tonumber(ARGV[3]) and used > 0 then
    used = used - tonumber(ARGV[2])
    if used > 0 then
      store(KEYS[1], used, ends)
    else
      redis.call('DEL', KEYS[1])
    end
  end
  return 0
end

if act == 'reserve' then
  local limit = tonumber(ARGV[2])
  local used, ends = window(KEYS[1], tonumber(ARGV[3]))
  -- The nearer the end, the less is held back from the others.
  local granted = math.min(tonumber(ARGV[4]), math.floor((limit - used) / 10))
  if granted <= 0 then
    return {0, used, left(ends), ends}
  end
  store(KEYS[1], used + granted, ends)
  return {granted, used + granted, left(ends), ends}
end

local answers, taken, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local limit, period, undone = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), ARGV[3 * i + 1] == '1'
  local used, ends = window(key, period)
  if used >= limit then
    answers[i] = {0, used, left(ends), ends}
    refused = true
    break
  end
  if act == 'count' then
    used = used + 1
  end
  answers[i] = {1, used, left(ends), ends}
  taken[i] = {key, used, ends, undone}
end
if act == 'count' then
  for _, counter in ipairs(taken) do
    if not (refused and counter[4]) then
      store(counter[1], counter[2], counter[3])
    end
  end
end
return answers
