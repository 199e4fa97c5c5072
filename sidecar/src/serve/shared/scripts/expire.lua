-- Claims holds that nobody renewed, for a while. Leases of which nothing was used are given up.
-- A group that has not the word on them only tells of them.
local ttl, most, has_word = num(arg()), arg(), arg() == '1'
local late = {1}
for _, x in ipairs(call('ZRANGEBYSCORE', P .. 'x', '-inf', whole(now), 'LIMIT', 0, most)) do
  local hold = load(x)
  if not hold then
    call('ZREM', P .. 'x', x)
  elseif has_word and hold.lease ~= '' and num(hold.cost) == 0 then
    -- Nobody knows what of it was used: that stays counted, in other groups too.
    release(hold)
    call('SET', P .. 'z:' .. x, 'n' .. whole(hold.at) .. ':0', 'PX', whole(2 * ttl))
  else
    call('ZADD', P .. 'x', whole(now + ttl), x)
    late[#late + 1] = {x, hold.cost, whole(hold.at), hold.lease, call('HGET', P .. 'h:' .. x, 'i')}
  end
end
return late
