-- Charges an exchange that has ended, once, and gives back what was held for it.
local x, lease, kind, cost = arg(), arg(), arg(), arg()
local at_ms, fields = arg(), {arg(), arg(), arg(), arg(), arg()}
local provider, model = 'provider:' .. arg(), 'model:' .. arg()
local input, output = num(arg()), num(arg())
local mark_ttl, expired_ttl, place_ttl = arg(), arg(), arg()
-- The place of its record in the spool of its service; whether it may be counted already, or be in sums
-- that were read from the database; and up to which version it is then.
local service, seq, again, counted = arg(), arg(), arg() == '1', num(arg())
local scopes, since = {}, {}
for i = 1, num(arg()) do
  scopes[i] = arg()
  since[scopes[i]] = num(arg())
end
local function held(v)
  local of = ';' .. service .. '='
  local _, last = string.find(v, of, 1, true)
  return last and num(string.match(v, '^%d+', last + 1)) >= num(seq)
end

local function charge(scope, f, more, final)
  if more == '0' then return end
  local b, d = P .. 'b:' .. scope, P .. 'd:' .. scope
  local of = call('HMGET', b, 'g', 'v')
  if not is_ready(of[1], since[scope] or 0) then
    local p = P .. 'p:' .. scope
    call('HSET', p, x, final .. ' ' .. table.concat(f, ' '))
    call('HINCRBY', p, '', 1)
    return
  end
  if again and held(of[2]) then return end
  local names = {'T', 'W' .. f[2], 'M' .. f[3], 'Q' .. f[4], 'Y' .. f[5]}
  for _, name in ipairs(names) do call('HINCRBY', b, name, more) end
  if whole(call('HINCRBY', d, f[1], more)) == more then
    -- The first charge of a day: what no window reaches any more is dropped.
    local oldest = num(f[1]) - 367 * 86400000
    for _, day in ipairs(call('HKEYS', d)) do
      if num(day) < oldest then call('HDEL', d, day) end
    end
    for _, name in ipairs(call('HKEYS', b)) do
      local start = num(string.sub(name, 2))
      if start and start < oldest then call('HDEL', b, name) end
    end
  end
end
local function served(scope)
  if string.sub(scope, 1, 9) == 'provider:' then return scope == provider end
  if string.sub(scope, 1, 6) == 'model:' then return scope == model end
  return true
end
local function finish(hold)
  if not hold then return end
  release(hold)
  local more = math.max(input + output - hold.tokens, 0)
  for _, l in ipairs(hold.limits) do
    for i = 2, #l, 2 do
      if served(l[1]) then
        if l[i] == 't' then count('t', l[i + 1], l[1], more) end
      else
        local less = (l[i] == 'r') and hold.requests or hold.tokens
        give_back(l[i], l[i + 1], l[1], less, hold.at)
      end
    end
  end
end

-- Charges scopes that are counted only since it was settled.
local function supplement(before)
  local more = false
  for _, scope in ipairs(scopes) do
    if again and since[scope] > before then
      charge(scope, fields, cost, cost)
      more = true
    end
  end
  return more
end

local marker, places = P .. 'z:' .. x, P .. 's:' .. service
local mark = call('GET', marker)
if not mark and again and call('ZSCORE', places, x) then mark = 'n' .. at_ms .. ':' .. whole(counted) end
if mark then
  if lease == '' then finish(load(x)) end
  if string.sub(mark, 1, 1) == 'n' then
    local settled, before = string.match(mark, '^n(%d+):(%d+)$')
    if kind ~= 'x' and supplement(num(before)) then
      call('SET', marker, 'n' .. settled .. ':' .. whole(version), 'PX', mark_ttl)
    end
    return {0, settled}
  end
  local old = cmsgpack.unpack(string.sub(mark, 2))
  local settled = whole(old[1])
  if kind == 'x' then return {0, settled} end
  for _, scope in ipairs(old[4]) do charge(scope, old[2], minus(old[3]), '0') end
  for _, scope in ipairs(scopes) do charge(scope, old[2], cost, cost) end
  call('SET', marker, 'n' .. settled .. ':' .. whole(version), 'PX', mark_ttl)
  call('ZADD', places, seq, x)
  return {2, settled}
end
local hold = load((lease ~= '') and lease or x)
if hold then
  at_ms, fields = whole(hold.at), hold.fields
end
if lease == '' then
  finish(hold)
elseif hold then
  -- A lease that was put back may be put back without it already: too much is held rather than too little.
  if not again then resize(hold, math.max(num(hold.amount) - num(cost), 0)) end
  if num(hold.cost) > num(hold.amount) then
    call('HSET', P .. 'h:' .. lease, 'c', hold.amount)
  end
  for _, l in ipairs(hold.limits) do
    for i = 2, #l, 2 do
      if not served(l[1]) then
        if l[i] == 'r' then give_back('r', l[i + 1], l[1], 1, hold.at) end
      elseif l[i] == 't' then
        count('t', l[i + 1], l[1], output)
      end
    end
  end
end
for _, scope in ipairs(scopes) do charge(scope, fields, cost, cost) end
if kind == 'x' then
  local stands = cmsgpack.pack({num(at_ms), fields, cost, scopes})
  call('SET', marker, 'x' .. stands, 'PX', expired_ttl)
else
  call('SET', marker, 'n' .. at_ms .. ':' .. whole(version), 'PX', mark_ttl)
end
call('ZADD', places, seq, x)
call('PEXPIRE', places, place_ttl)
return {1, at_ms}
