-- Extends holds: id and cost so far of each. Says of each whether it is there.
local ttl, found = num(arg()), {1}
for i = 1, num(arg()) do
  local x, cost = arg(), arg()
  local hold = load(x)
  found[#found + 1] = hold and 1 or 0
  if hold then
    call('ZADD', P .. 'x', whole(now + ttl), x)
    if hold.lease ~= '' or num(cost) > num(hold.cost) then
      call('HSET', P .. 'h:' .. x, 'c', cost)
      resize(hold, math.max(num(hold.amount), num(cost)))
    end
  end
end
return found
