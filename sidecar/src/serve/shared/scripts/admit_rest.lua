if not forced then
  local money = num(amount)
  for _, b in ipairs(budgets) do
    for _, w in ipairs(b.windows) do
      if w.limit and money > 0 and w.spent + w.held + money > w.limit then return states(0) end
    end
  end
  for _, l in ipairs(limits) do
    if l.most and check_running > 0 and l.running + check_running > l.most then return states(0) end
    for _, t in ipairs(l.tracks) do
      local more = (t.m == 'r') and requests or check_tokens
      local fading = t.before * (t.len - now % t.len)
      if t.limit and more > 0 and fading > (t.limit - t.current - more) * t.len then
        return states(0)
      end
    end
  end
  if x ~= '' and call('ZCARD', P .. 'x') >= holds_max then return {-6} end
end
local scopes, counted = {}, {}
for i, b in ipairs(budgets) do
  if x ~= '' then hold_more(b.scope, fields[1], amount) end
  scopes[i] = b.scope
  for _, w in ipairs(b.windows) do w.held = w.held + num(amount) end
end
for i, l in ipairs(limits) do
  if running > 0 then l.running = call('INCRBY', P .. 'n:' .. l.scope, running) end
  local c = {l.scope}
  for _, t in ipairs(l.tracks) do
    local more = (t.m == 'r') and requests or tokens
    count(t.m, t.len, l.scope, more)
    t.current = t.current + more
    c[#c + 1] = t.m
    c[#c + 1] = t.len
  end
  counted[i] = c
end
if x ~= '' then
  local p = cmsgpack.pack({now, fields, requests, tokens, lease, scopes, counted})
  call('HSET', P .. 'h:' .. x, 'a', amount, 'c', cost, 'u', whole(running), 'p', p, 'i', info)
  call('ZADD', P .. 'x', whole(now + num(ttl)), x)
end
return states(1)
