"""What runs inside Redis: one script, which is atomic there and sees one clock only, Redis' own.

Per registry and kind there are six keys: `config` (the limit, as the first user had it), `held`
(leases by the millisecond at which they end), `queue` (waiters by the microsecond at which they
came), `alive` (waiters by the millisecond at which they count as dead), `who` (a line about each)
and `terms` (each one's lease in milliseconds: every machine goes by its own).

A freed slot is offered to the first waiter by whoever frees it, and the waiter's process is woken
through a list of its own. It takes the offer by asking again, within a tenth of the lease. Who has
missed a renewal, or whose process let an offer or a lease run out, is passed over until it renews
as long as others wait. So a process that died costs the slots that it held for a lease, and those
that it was offered before one lapsed for a tenth, however many of its waiters stand in the queue.

What Redis forgets must not let anybody in: after a flush, a restart or a failover, and when it is
first used, `opens` says when every lease that it may have forgotten has ended. Until then holders
come back, waiters queue in their old order, and nobody is let in. How long those leases were is
forgotten with them, so `opens` counts with the longest that any machine may ask for, not with the
lease of whoever happens to come first.

A week after its last use nothing is left. Then the next one is the first again, and waits.
"""

SCRIPT = """
local epoch, config, held, queue, alive, who, terms = unpack(KEYS)
local command, wakes = ARGV[1], ARGV[2]
local limit, lease, longest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local micro = time[1] * 1000000 + time[2]
local now = math.floor(micro / 1000)
local function text(number) return string.format('%.0f', number) end

local function forget(id)
  redis.call('ZREM', held, id)
  redis.call('ZREM', queue, id)
  redis.call('ZREM', alive, id)
  redis.call('HDEL', who, id)
  redis.call('HDEL', terms, id)
end
local function term(id) return tonumber(redis.call('HGET', terms, id) or lease) end
local function process(id) return string.match(id, '^[^/]+') end
local function left(id) return tonumber(redis.call('ZSCORE', alive, id) or 0) - now end

local silent = {}
for _, key in ipairs({held, alive}) do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', text(now))) do
    forget(id)
    silent[process(id)] = true
  end
end
if next(silent) then
  for _, id in ipairs(redis.call('ZRANGE', queue, 0, -1)) do
    if silent[process(id)] then
      redis.call('ZADD', alive, text(now + math.min(left(id), term(id) / 2)), id)
    end
  end
end

if command == 'look' then
  local lines = {}
  for _, id in ipairs(redis.call('ZRANGE', held, 0, -1)) do
    lines[#lines + 1] = redis.call('HGET', who, id) or ''
  end
  return lines
end

local unused = redis.call('ZCARD', held) + redis.call('ZCARD', queue) == 0
local recorded = redis.call('HGET', config, 'limit')
if unused or not recorded then
  redis.call('HSET', config, 'limit', text(limit))
else
  limit = tonumber(recorded)
end

local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local known = redis.call('HMGET', epoch, 'server', 'opens')
local opens = tonumber(known[2] or 0)
if known[1] ~= server then
  opens = now + longest
  redis.call('HSET', epoch, 'server', server, 'opens', text(opens))
end

local function renew(role, id, came, line)
  if not redis.call('ZSCORE', held, id) then
    if role == 'waiting' then
      if not redis.call('ZSCORE', queue, id) then redis.call('ZADD', queue, came, id) end
      redis.call('ZADD', alive, text(now + lease), id)
      redis.call('HSET', who, id, line)
      redis.call('HSET', terms, id, text(lease))
      return
    end
    if now >= opens and redis.call('ZCARD', held) >= limit then return end
  end
  redis.call('ZADD', held, text(now + lease), id)
  redis.call('HSET', who, id, line)
  redis.call('HSET', terms, id, text(lease))
end

local ids = {}
for i = 6, #ARGV, 4 do
  local role, id, came, line = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if role == 'gone' then
    forget(id)
  else
    if came == '' then
      local last = redis.call('ZREVRANGE', queue, 0, 0, 'WITHSCORES')[2]
      if last and tonumber(last) >= micro then micro = tonumber(last) + 1 end
      came = text(micro)
    end
    renew(role, id, came, line)
    ids[#ids + 1] = {id, came}
  end
end

local function next_in_turn()
  local waiting = redis.call('ZRANGE', queue, 0, 63)
  for _, id in ipairs(waiting) do
    if left(id) >= term(id) * 0.6 then return id end
  end
  return waiting[1]
end

while now >= opens and redis.call('ZCARD', held) < limit do
  local id = next_in_turn()
  if not id then break end
  local asks = command == 'ask' and id == ids[1][1]
  redis.call('ZREM', queue, id)
  redis.call('ZREM', alive, id)
  redis.call('ZADD', held, text(now + (asks and lease or term(id) / 10)), id)
  if not asks then
    local list = wakes .. process(id)
    redis.call('RPUSH', list, id)
    redis.call('PEXPIRE', list, text(longest * 2))
  end
end

for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, 604800) end

local first = redis.call('ZRANGE', held, 0, 0, 'WITHSCORES')[2]
local event = now < opens and opens or tonumber(first or now + lease)
local answer = {text(limit), text(event - now), text(opens - now)}
for _, each in ipairs(ids) do
  local state = 'lost'
  if redis.call('ZSCORE', held, each[1]) then state = 'held'
  elseif redis.call('ZSCORE', queue, each[1]) then state = 'waiting' end
  answer[#answer + 1] = state
  answer[#answer + 1] = each[2]
end
return answer
"""
