-- Charges an exchange that has ended, once, and gives back what was held for it.
local x, lease, kind, cost = arg(), arg(), arg(), arg()
local at_ms, fields = arg(), {arg(), arg(), arg(), arg(), arg()}
local provider, model = 'provider:' .. arg(), 'model:' .. arg()
local input, output = num(arg()), num(arg())
local mark_ttl, expired_ttl = arg(), arg()
local scopes = {}
for i = 1, num(arg()) do scopes[i] = arg() end

local function charge(scope, f, more, final)
  if more == '0' then return end
  local b, d = P .. 'b:' .. scope, P .. 'd:' .. scope
  local of = call('HMGET', b, 'e', 'g')
  if not is_ready(of[1], of[2]) then
    local p = P .. 'p:' .. scope
    call('HSET', p, x, final .. ' ' .. table.concat(f, ' '))
    call('HINCRBY', p, '', 1)
    return
  end
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

local marker = marker_of(x)
local mark = call('GET', marker)
if mark then
  local replaces = string.sub(mark, 1, 1) == 'x' and kind ~= 'x'
  if lease == '' then finish(load(x)) end
  if not replaces then
    local known = string.sub(mark, 1, 1) == 'n' and string.sub(mark, 2)
    return {0, known or whole(cmsgpack.unpack(string.sub(mark, 2))[1]), epoch}
  end
  local old = cmsgpack.unpack(string.sub(mark, 2))
  for _, scope in ipairs(old[4]) do charge(scope, old[2], minus(old[3]), '0') end
  for _, scope in ipairs(scopes) do charge(scope, old[2], cost, cost) end
  call('SET', marker, 'n' .. whole(old[1]), 'PX', mark_ttl)
  return {2, whole(old[1]), epoch}
end
local hold = load((lease ~= '') and lease or x)
if hold then
  at_ms, fields = whole(hold.at), hold.fields
end
if lease == '' then
  finish(hold)
elseif hold then
  resize(hold, math.max(num(hold.amount) - num(cost), 0))
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
  call('SET', marker, 'n' .. at_ms, 'PX', mark_ttl)
end
return {1, at_ms, epoch}
