-- Claims holds that nobody renewed, for a while. Leases of which nothing was used are given up.
local ttl, most = num(arg()), arg()
local late = {1}
for _, x in ipairs(call('ZRANGEBYSCORE', P .. 'x', '-inf', whole(now), 'LIMIT', 0, most)) do
  local hold = load(x)
  if not hold then
    call('ZREM', P .. 'x', x)
  elseif hold.lease ~= '' and num(hold.cost) == 0 then
    -- Nobody knows what of it was used: that stays counted.
    release(hold)
  else
    call('ZADD', P .. 'x', whole(now + ttl), x)
    late[#late + 1] = {x, hold.cost, whole(hold.at), hold.lease, call('HGET', P .. 'h:' .. x, 'i')}
  end
end
return late
