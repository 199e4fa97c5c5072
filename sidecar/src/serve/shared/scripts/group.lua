-- What every script begins with. KEYS[1] is the group's epoch, ARGV[1] what its keys begin with,
-- ARGV[2] the present in Unix milliseconds, ARGV[3] the version of what is counted, as the asker knows it.
-- Keys of a group share one hash tag, so all of them are where KEYS[1] is. It says:
--   13 digits of the instant from which on the epoch admits, then 12 characters of the server that it was
--   begun on, and 8 of its name in a cluster
-- and all others have it in their name, so that nothing of one epoch is in another:
--   b:SCOPE       g: version that these sums are of; v: how much of each service's records they held when
--                 they were read; T, W<start>, M<start>, Q<start>, Y<start>: settled money
--   d:SCOPE       <day>: money settled on that day
--   a:SCOPE       <day>: money held for exchanges that were admitted on that day
--   p:SCOPE       charges of a scope whose sums are not there yet: <exchange>: what it comes to
--   n:SCOPE       exchanges that run
--   w:M<length>:<bucket>:SCOPE  requests (r) or tokens (t) counted in a bucket
--   h:EXCHANGE    a: amount, c: cost so far, u: running, p: where it counts, i: whose it is
--   x             holds by the instant they expire at
--   z:EXCHANGE    n<instant>:<version> when settled, x<what> when an expired hold was;
--                 of leases, that they were given up
--   m, q, k       services: see epoch.lua
--   s:SERVICE     exchanges that were counted, by their places in the spool of their service, from
--                 where it has not said that the database has them
-- Amounts are added by Redis itself, in 64 bits. What is compared here passes through doubles, exact
-- up to 2^53.
local call, num, text = redis.call, tonumber, string.format
local epoch = call('GET', KEYS[1])
if not epoch then return {-3} end
-- A node that has taken over from another may lack the last that was counted there.
local node = string.sub(epoch, 26)
if node ~= '' then
  local here = redis.pcall('CLUSTER', 'MYID')
  if type(here) == 'string' and string.sub(here, 1, 8) ~= node then return {-3} end
end
local P, now = ARGV[1] .. epoch .. ':', num(ARGV[2])
local version = num(ARGV[3])
local at = 3
-- Whether neither bounds nor a new epoch hold it up.
local forced = false
local function arg()
  at = at + 1
  return ARGV[at]
end
-- Whether sums of a version hold everything that is counted since another one.
local function is_ready(g, since) return g and num(g) >= since end
local function whole(n) return text('%.0f', n) end
local function minus(s)
  if s == '0' then return s end
  if string.sub(s, 1, 1) == '-' then return string.sub(s, 2) end
  return '-' .. s
end

local function track(m, len, bucket, scope)
  return P .. 'w:' .. m .. len .. ':' .. whole(bucket) .. ':' .. scope
end
local function count(m, len, scope, more)
  if more <= 0 then return end
  local into = now % len
  local key = track(m, len, now - into, scope)
  if call('INCRBY', key, whole(more)) == more then
    call('PEXPIRE', key, whole(2 * len - into + 5000))
  end
end
-- What no bucket counts any more needs no taking back.
local function give_back(m, len, scope, less, at_ms)
  local bucket = at_ms - at_ms % len
  if less <= 0 or bucket < now - now % len - len then return end
  local key = track(m, len, bucket, scope)
  local counted = num(call('GET', key) or '0')
  if counted > 0 then call('DECRBY', key, whole(math.min(less, counted))) end
end
local function stop(scope, less)
  if less > 0 and call('DECRBY', P .. 'n:' .. scope, whole(less)) <= 0 then
    call('DEL', P .. 'n:' .. scope)
  end
end

local function hold_more(scope, day, more)
  if more ~= '0' and call('HINCRBY', P .. 'a:' .. scope, day, more) == 0 then
    call('HDEL', P .. 'a:' .. scope, day)
  end
end
local function load(x)
  local v = call('HMGET', P .. 'h:' .. x, 'a', 'c', 'u', 'p')
  if not v[1] then return nil end
  local p = cmsgpack.unpack(v[4])
  return {x = x, amount = v[1], cost = v[2], running = num(v[3]), at = p[1], day = p[2][1], fields = p[2],
    requests = p[3], tokens = p[4], lease = p[5], scopes = p[6], limits = p[7]}
end
local function resize(hold, amount)
  local more = whole(amount - num(hold.amount))
  if more == '0' or more == '-0' then return end
  for _, scope in ipairs(hold.scopes) do hold_more(scope, hold.day, more) end
  call('HINCRBY', P .. 'h:' .. hold.x, 'a', more)
  hold.amount = whole(amount)
end
-- Gives money and places back, not what was counted.
local function release(hold)
  local less = minus(hold.amount)
  for _, scope in ipairs(hold.scopes) do hold_more(scope, hold.day, less) end
  for _, l in ipairs(hold.limits) do stop(l[1], hold.running) end
  call('DEL', P .. 'h:' .. hold.x)
  call('ZREM', P .. 'x', hold.x)
end
local function uncount(hold, requests, tokens)
  for _, l in ipairs(hold.limits) do
    for i = 2, #l, 2 do
      local less = (l[i] == 'r') and requests or tokens
      give_back(l[i], l[i + 1], l[1], less, hold.at)
    end
  end
end
